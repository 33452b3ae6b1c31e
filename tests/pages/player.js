// A player in a browser, by the plain WebSocket API, and what a page tells the test that opened it.
//
// `tests/src/chromium.rs` serves this file and hears what is posted: each observation as it is made, then one end.
"use strict";

// What takes milliseconds on a good day.
const SOON_MS = 10000;

const options = new URLSearchParams(location.search);

class Player {
	// Asks for a connection. `inbox` holds what has come and was not taken: an ArrayBuffer or a string each.
	constructor(url, protocols = []) {
		this.inbox = [];
		this.ending = null;
		this.changed = () => {};
		this.socket = new WebSocket(url, protocols);
		this.socket.binaryType = "arraybuffer";
		this.socket.onopen = () => this.changed();
		this.socket.onmessage = (event) => {
			this.inbox.push(event.data);
			this.changed();
		};
		this.socket.onclose = (event) => {
			this.ending = `code ${event.code}, ${event.wasClean ? "clean" : "not clean"}, "${event.reason}"`;
			this.changed();
		};
	}

	// A player who has been given an id.
	static async join(url, protocols = []) {
		const player = new Player(url, protocols);
		player.id = idIn(await player.next("an id"));
		return player;
	}

	// Whether the condition comes to hold within the bound.
	async happens(condition, boundMs) {
		const end = performance.now() + boundMs;
		while (!condition()) {
			const left = end - performance.now();
			if (left <= 0) {
				return false;
			}
			await new Promise((resolve) => {
				this.changed = resolve;
				setTimeout(resolve, left);
			});
		}
		return true;
	}

	// The next message. A connection that ends before it is a failure.
	async next(what, boundMs = SOON_MS) {
		await this.happens(() => this.inbox.length > 0 || this.ending !== null, boundMs);
		if (this.inbox.length === 0) {
			throw new Error(`${what} did not come; the connection: ${this.ending ?? "still there"}`);
		}
		return this.inbox.shift();
	}

	// How the connection ended.
	async end(boundMs = SOON_MS) {
		await this.happens(() => this.ending !== null, boundMs);
		return this.ending ?? `nothing within ${boundMs} ms`;
	}

	get isOpen() {
		return this.socket.readyState === WebSocket.OPEN;
	}

	send(message) {
		this.socket.send(message);
	}

	// Sends a word as a packet.
	say(text) {
		this.send(new TextEncoder().encode(text));
	}

	// Has the server do something, and waits until it says that it has.
	async order(what, boundMs = SOON_MS) {
		this.say(`order:${what}`);
		const answer = textIn(await this.next(`the answer to ${what}`, boundMs));
		if (answer !== `done:${what}`) {
			throw new Error(`${what} was answered by ${answer}`);
		}
	}

	// Sends a packet and tells whether the server's echo is the same.
	async echo(size, seed = 0) {
		const sent = pattern(size, seed);
		this.send(sent);
		return compare(await this.next(`the echo of ${size} bytes`), sent);
	}
}

// The id that a server's first message is.
function idIn(message) {
	if (!(message instanceof ArrayBuffer) || message.byteLength !== 4) {
		throw new Error(`the first message is no id: ${describe(message)}`);
	}
	const id = new DataView(message).getInt32(0, true);
	if (id < 2) {
		throw new Error(`the id is ${id}`);
	}
	return id;
}

// Bytes that depend on their place, on the size and on the seed.
function pattern(size, seed) {
	const bytes = new Uint8Array(size);
	for (let place = 0; place < size; place++) {
		bytes[place] = (place * 31 + (place >> 8) * 7 + size + seed) & 0xff;
	}
	return bytes;
}

function compare(message, wanted) {
	if (!(message instanceof ArrayBuffer)) {
		return describe(message);
	}
	const bytes = new Uint8Array(message);
	const same = bytes.length === wanted.length && bytes.every((byte, place) => byte === wanted[place]);
	return same ? "the same" : `other bytes: ${describe(message)}`;
}

function describe(message) {
	return message instanceof ArrayBuffer ? `${message.byteLength} bytes` : `the text "${message}"`;
}

function textIn(message) {
	return message instanceof ArrayBuffer ? new TextDecoder().decode(message) : `the text "${message}"`;
}

async function post(path, text) {
	await fetch(path, { method: "POST", body: text });
}

// Tells the test what the page sees.
async function observe(key, value) {
	await post("/observe", `${key} = ${value}`);
}

// Runs the page's script and tells how that went.
async function run(script) {
	try {
		await script();
		await post("/end", "ok");
	} catch (error) {
		await post("/end", `failed: ${error.message ?? error}`);
	}
}
