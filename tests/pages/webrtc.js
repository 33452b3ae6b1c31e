// A WebRTC peer in a browser, by the plain API: it does what the test orders and tells what it sees.
//
// It asks for orders, `number verb words...` and perhaps more lines, does them one after the other (those that wait for
// something do not hold up the next) and answers `did number = ...` or `failed number = ...`. By itself it tells
// descriptions (`offer`, `answer`), candidates (`candidate`: the part's name, then the candidate) and what changes (`event`).
"use strict";

// The channels that Godot's WebRTCMultiplayerPeer makes, with its spelling of the options: `maxPacketLifetime` is a name
// that browsers do not know.
const GODOT_CHANNELS = {
	reliable: { id: 1, negotiated: true, ordered: true },
	ordered: { id: 2, negotiated: true, ordered: true, maxPacketLifetime: 1 },
	unreliable: { id: 3, negotiated: true, ordered: false, maxPacketLifetime: 1 },
};

// How long an order may wait for what it is to see.
const ORDER_MS = 15000;

// Bytes of a message of a stream of numbers.
const NUMBERED_BYTES = 64;

class Peer {
	constructor() {
		this.waiting = [];
		this.told = Promise.resolve();
		this.channels = new Map();
		this.streams = new Map();
		this.connection = new RTCPeerConnection({ iceServers: [] });
		const connection = this.connection;
		connection.onconnectionstatechange = () => this.happened(`connection ${connection.connectionState}`);
		connection.oniceconnectionstatechange = () => this.happened(`ice ${connection.iceConnectionState}`);
		connection.onicecandidate = ({ candidate }) => {
			if (candidate && candidate.candidate) {
				this.tell("candidate", `${candidate.sdpMid}\n${candidate.candidate}`);
			}
		};
		connection.ondatachannel = ({ channel }) => {
			this.keep(channel);
			this.happened(`received ${channel.label}`);
		};
	}

	// Tells the test something; in order.
	tell(key, value) {
		this.told = this.told.then(() => observe(key, value));
	}

	happened(what) {
		this.tell("event", what);
		this.changed();
	}

	changed() {
		for (const look of this.waiting) {
			look();
		}
	}

	// Waits until the condition gives something.
	when(condition, what, boundMs = ORDER_MS) {
		return new Promise((resolve, reject) => {
			const look = () => {
				const found = condition();
				if (found !== undefined && found !== false) {
					this.waiting = this.waiting.filter((other) => other !== look);
					clearTimeout(timer);
					resolve(found);
				}
			};
			const timer = setTimeout(() => {
				this.waiting = this.waiting.filter((other) => other !== look);
				reject(new Error(`not in time: ${what}`));
			}, boundMs);
			this.waiting.push(look);
			look();
		});
	}

	make(label, options) {
		this.keep(this.connection.createDataChannel(label, options));
	}

	// Keeps a channel and what comes over it.
	keep(channel) {
		const kept = { channel, inbox: [], came: 0 };
		this.channels.set(channel.label, kept);
		channel.binaryType = "arraybuffer";
		channel.onopen = () => this.happened(`open ${channel.label}`);
		channel.onclose = () => this.happened(`closed ${channel.label}`);
		channel.onerror = ({ error }) => this.happened(`error ${channel.label}: ${error.errorDetail}: ${error.message}`);
		channel.onmessage = ({ data }) => {
			kept.inbox.push(data);
			kept.came++;
			this.changed();
		};
	}

	kept(label) {
		const kept = this.channels.get(label);
		if (!kept) {
			throw new Error(`no channel "${label}"`);
		}
		return kept;
	}

	next(label) {
		const { inbox } = this.kept(label);
		return this.when(() => inbox.length > 0 && { message: inbox.shift() }, `a message on ${label}`);
	}

	async describeLocally(kind) {
		const created = kind === "offer" ? await this.connection.createOffer() : await this.connection.createAnswer();
		await this.connection.setLocalDescription(created);
		this.tell(created.type, created.sdp);
	}
}

// A message that tells its place in a stream of them.
function numbered(number) {
	const bytes = new Uint8Array(NUMBERED_BYTES);
	new DataView(bytes.buffer).setUint32(0, number);
	return bytes;
}

const verbs = {
	// Makes the three channels of a game, as Godot's web export does, or with the names that browsers know.
	channels(peer, spelling) {
		for (const [label, options] of Object.entries(GODOT_CHANNELS)) {
			const { maxPacketLifetime, ...others } = options;
			const known = spelling === "known" && maxPacketLifetime !== undefined;
			peer.make(label, known ? { ...others, maxPacketLifeTime: maxPacketLifetime } : options);
		}
	},

	make(peer, label, text) {
		peer.make(label, JSON.parse(text));
	},

	async offer(peer) {
		await peer.describeLocally("offer");
	},

	async take(peer, kind, text) {
		if (kind === "candidate") {
			const [sdpMid, candidate] = text.split("\n");
			// One of an offer that the page does not take has no description to belong to: not an error of the page's.
			await peer.connection.addIceCandidate(new RTCIceCandidate({ candidate, sdpMid }));
			return;
		}
		await peer.connection.setRemoteDescription({ type: kind, sdp: text });
		if (kind === "offer") {
			await peer.describeLocally("answer");
		}
	},

	restart(peer) {
		peer.connection.restartIce();
	},

	state(peer) {
		const { connectionState, iceConnectionState, signalingState } = peer.connection;
		return `${connectionState} ${iceConnectionState} ${signalingState}`;
	},

	async open(peer, label) {
		const { channel } = peer.kept(label);
		await peer.when(() => channel.readyState === "open", `${label} is open`);
	},

	// What the page sees of a channel.
	shows(peer, label) {
		const { channel } = peer.kept(label);
		const { id, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, readyState } = channel;
		return JSON.stringify({ id, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, readyState });
	},

	longest(peer) {
		return peer.connection.sctp.maxMessageSize;
	},

	text(peer, label, text) {
		peer.kept(label).channel.send(text);
	},

	bytes(peer, label, size, seed) {
		peer.kept(label).channel.send(pattern(Number(size), Number(seed)));
	},

	// Sends so many bytes as a browser holds at most, or says why not.
	attempt(peer, label, size) {
		try {
			peer.kept(label).channel.send(new Uint8Array(Number(size)));
			return "sent";
		} catch (error) {
			return error.name;
		}
	},

	// The next message: which text, or whether it is the pattern of its length.
	async next(peer, label, seed) {
		const { message } = await peer.next(label);
		if (typeof message === "string") {
			return `text ${JSON.stringify(message)}`;
		}
		const same = compare(message, pattern(message.byteLength, Number(seed)));
		return `${message.byteLength} bytes, ${same}`;
	},

	// Whether this pattern comes within so long. Others are passed over: they may be late ones of an earlier try.
	async finds(peer, label, size, seed, ms) {
		const { inbox } = peer.kept(label);
		const wanted = pattern(Number(size), Number(seed));
		const found = () => {
			while (inbox.length > 0) {
				if (compare(inbox.shift(), wanted) === "the same") {
					return true;
				}
			}
			return false;
		};
		return peer.when(found, "a pattern", Number(ms)).catch(() => false);
	},

	// Sends numbered messages in one go.
	burst(peer, label, count) {
		const { channel } = peer.kept(label);
		for (let number = 0; number < Number(count); number++) {
			channel.send(numbered(number));
		}
	},

	// Reads numbered messages; the first gap is a failure. Tells how long and the longest time without one.
	async count(peer, label, count) {
		const begin = performance.now();
		let longest = 0;
		let last = begin;
		for (let number = 0; number < Number(count); number++) {
			const { message } = await peer.next(label);
			const now = performance.now();
			longest = Math.max(longest, now - last);
			last = now;
			const found = new DataView(message).getUint32(0);
			if (found !== number) {
				throw new Error(`${found} instead of ${number}`);
			}
		}
		return `all, in ${Math.round(last - begin)} ms, longest pause ${Math.round(longest)} ms`;
	},

	// How many have come that were not read by an order, and the first that is not next to its neighbour.
	inbox(peer, label) {
		const numbers = peer.kept(label).inbox.map((message) => new DataView(message).getUint32(0));
		const gap = numbers.findIndex((number, place) => place > 0 && number !== numbers[place - 1] + 1);
		return `${numbers.length} messages, ${gap < 0 ? "no gap" : `a gap at ${gap}`}`;
	},

	// So many messages have come in all.
	async came(peer, label, count) {
		const kept = peer.kept(label);
		await peer.when(() => kept.came >= Number(count), `${count} messages on ${label}`);
		return kept.came;
	},

	// Puts large messages on a channel as long as the browser takes them; gives what it held at the end.
	fill(peer, label, size, count) {
		const { channel } = peer.kept(label);
		for (let number = 0; number < Number(count); number++) {
			const bytes = new Uint8Array(Number(size));
			new DataView(bytes.buffer).setUint32(0, number);
			channel.send(bytes);
		}
		return channel.bufferedAmount;
	},

	buffered(peer, label) {
		return peer.kept(label).channel.bufferedAmount;
	},

	async drained(peer, label) {
		const { channel } = peer.kept(label);
		channel.bufferedAmountLowThreshold = 0;
		channel.onbufferedamountlow = () => peer.changed();
		await peer.when(() => channel.bufferedAmount === 0, `nothing waits on ${label}`);
	},

	// Sends a number every so many milliseconds until told to stop.
	stream(peer, label, everyMs) {
		let number = 0;
		const { channel } = peer.kept(label);
		const timer = setInterval(() => {
			channel.send(numbered(number));
			number++;
		}, Number(everyMs));
		peer.streams.set(label, () => {
			clearInterval(timer);
			return number;
		});
	},

	// Gives how many were sent.
	stop(peer, label) {
		return peer.streams.get(label)();
	},

	// Does nothing else for a while: nothing is read.
	stand(peer, ms) {
		const end = performance.now() + Number(ms);
		while (performance.now() < end) {
			// On purpose.
		}
	},

	closeChannel(peer, label) {
		peer.kept(label).channel.close();
	},

	// Leaves the page, as a player does who follows a link.
	go() {
		location.href = "about:blank";
	},

	close(peer) {
		peer.connection.close();
	},

	// How the page reached the other end.
	async path(peer) {
		const reports = await peer.connection.getStats();
		for (const report of reports.values()) {
			if (report.type === "transport" && report.selectedCandidatePairId) {
				const pair = reports.get(report.selectedCandidatePairId);
				const [own, other] = [reports.get(pair.localCandidateId), reports.get(pair.remoteCandidateId)];
				const dtls = `${report.dtlsRole}, ${report.dtlsState}, ${report.tlsVersion}, ${report.dtlsCipher}`;
				return `${own.candidateType} to ${other.candidateType}; ${report.iceRole}; dtls ${dtls}`;
			}
		}
		return "none";
	},
};

// An order that is the last.
const LAST = "end";

async function obey(peer) {
	peer.tell("ready", "");
	for (;;) {
		const answer = await fetch("/orders");
		if (answer.status === 204) {
			continue;
		}
		const text = await answer.text();
		const lineEnd = text.indexOf("\n");
		const words = (lineEnd < 0 ? text : text.slice(0, lineEnd)).split(" ");
		const number = words.shift();
		const verb = words.shift();
		if (verb === LAST) {
			await peer.told;
			return;
		}
		if (lineEnd >= 0) {
			words.push(text.slice(lineEnd + 1));
		}
		const doing = (async () => verbs[verb](peer, ...words))();
		doing.then(
			(found) => peer.tell(`did ${number}`, found ?? ""),
			(error) => peer.tell(`failed ${number}`, `${verb}: ${error.name}: ${error.message}`),
		);
	}
}
