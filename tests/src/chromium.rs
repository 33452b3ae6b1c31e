//! A page in a real browser: headless Chromium, opened on a page of `tests/pages`, and what the page tells.
//!
//! `cargo xtask test` brings the browser and names it in `FERRY_TEST_CHROMIUM` (see [`brought`]); where there is none to be
//! had, [`is_there`] tells the test, which then skips. [`Visit`] says which page, with which parameters. A small HTTP
//! listener of this process serves it and takes what it posts: observations, `key = value` each, and one end. The page
//! cannot pass by accident: without its end there is no [`Report`]. A test that has to do its own part meanwhile opens a
//! [`Page`]: it hears the observations as they come, and gives orders for which the page asks.
//!
//! Each visit has a browser and a profile of its own, gone when it is over, however it ends: the browser is told to end,
//! then it and its parts are ended by the id of their group.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::brought;
use crate::project_copy::Folder;

/// Names the browser.
const BROWSER_VARIABLE: &str = "FERRY_TEST_CHROMIUM";

/// What a page may take. Most take a second; the rest is for a machine under load.
const VISIT_BOUND: Duration = Duration::from_secs(60);

/// How often we look whether the page has come to its end.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A browser that is told to end does so in a tenth of a second.
const END_BOUND: Duration = Duration::from_secs(3);

/// A connection that asks for nothing: browsers open some in advance.
const REQUEST_BOUND: Duration = Duration::from_secs(10);

/// How long a page's question for orders waits for one; then it asks again.
const ORDER_BOUND: Duration = Duration::from_secs(2);

/// The longest request line and headers; a browser's take 500 bytes.
const MAX_HEAD_BYTES: u64 = 1 << 14;

/// The longest thing that a page may tell.
const MAX_POST_BYTES: u64 = 1 << 16;

/// How much of what a page tells is kept, and of what its browser writes. More than this and the test is broken.
const MAX_LINES: usize = 1 << 12;

/// How many of the browser's last lines a failure shows.
const SHOWN_LINES: usize = 20;

/// No window, nothing of its own on the network, nothing kept.
const BROWSER_ARGUMENTS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    "--enable-logging=stderr",
];

/// Whether there is a browser; if not, the test skips, which this says.
///
/// # Panics
/// Where nothing was said about a browser at all.
pub fn is_there() -> bool {
    brought::or_skip(BROWSER_VARIABLE).is_some()
}

/// What is to be opened.
#[derive(Clone, Debug)]
pub struct Visit {
    page: String,
    query: Vec<String>,
    trusted_key: Option<String>,
    arguments: Vec<String>,
    bound: Duration,
}

impl Visit {
    /// A page of `tests/pages`.
    pub fn to(page: &str) -> Self {
        Self {
            page: page.to_owned(),
            query: Vec::new(),
            trusted_key: None,
            arguments: Vec::new(),
            bound: VISIT_BOUND,
        }
    }

    /// Adds `key=value` for the page to read.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.query.push(format!("{key}={}", escaped(&value.to_string())));
        self
    }

    /// Trusts certificates of this public key, whoever issued them: base64 of the SHA-256 of the key as certificates
    /// hold it.
    #[must_use]
    pub fn trusting(mut self, key_hash: &str) -> Self {
        self.trusted_key = Some(key_hash.to_owned());
        self
    }

    /// Starts the browser with this argument as well.
    #[must_use]
    pub fn in_browser(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Gives the page so much time.
    #[must_use]
    pub fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Opens the page and waits for its end.
    ///
    /// # Panics
    /// When the browser does not start, or the page fails or does not come to its end in time; with what it told so far.
    pub fn report(self) -> Report {
        let mut page = self.open();
        while !page.is_over {
            if page.hear().is_none() {
                thread::sleep(LOOK_INTERVAL);
            }
        }
        page.report
    }

    /// Opens the page, to talk with it.
    ///
    /// # Panics
    /// When the browser does not start.
    pub fn open(self) -> Page {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port for the page");
        listener.set_nonblocking(true).expect("the listener can be asked without waiting");
        let port = listener.local_addr().expect("the listener has an address").port();
        let address = format!("http://127.0.0.1:{port}/{}?{}", self.page, self.query.join("&"));
        let browser = Browser::start(&address, self.trusted_key.as_deref(), &self.arguments);
        let (sender, told) = sync_channel(MAX_LINES);
        Page {
            listener,
            browser,
            sender,
            told,
            orders: Arc::default(),
            report: Report { page: self.page, observations: Vec::new() },
            deadline: Instant::now() + self.bound,
            is_over: false,
        }
    }
}

/// A page that is open. It is told things by [`Page::order`] and tells things itself; both only while [`Page::hear`] is
/// called again and again, which also serves it.
pub struct Page {
    listener: TcpListener,
    browser: Browser,
    sender: SyncSender<Told>,
    told: Receiver<Told>,
    orders: Arc<Orders>,
    report: Report,
    deadline: Instant,
    is_over: bool,
}

impl Page {
    /// What the page has told next, if it has.
    ///
    /// # Panics
    /// When the page fails, its time is over or its browser ended by itself; with what it told so far.
    pub fn hear(&mut self) -> Option<(String, String)> {
        while let Ok((stream, _)) = self.listener.accept() {
            let (sender, orders) = (self.sender.clone(), self.orders.clone());
            // Ends with the request, or at its bound.
            thread::spawn(move || drop(serve(&stream, &sender, &orders)));
        }
        match self.told.try_recv() {
            Ok(Told::Observation(line)) => return Some(self.report.add(&line)),
            Ok(Told::End(how)) if how == "ok" => self.is_over = true,
            Ok(Told::End(how)) => self.fail(&how),
            Err(_) if self.is_over => {}
            Err(_) if Instant::now() > self.deadline => self.fail("not done in time"),
            Err(_) if self.browser.has_ended() => self.fail("the browser ended"),
            Err(_) => {}
        }
        None
    }

    /// Tells the page something, which it gets when it asks for orders.
    pub fn order(&self, text: &str) {
        self.orders.waiting.lock().expect("nobody panics with it").push_back(text.to_owned());
        self.orders.changed.notify_all();
    }

    /// Ends the test, with what the page told so far.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&mut self, why: &str) -> ! {
        panic!("{}", self.report.failed(why, &self.browser.last_lines()))
    }

    /// Sends a signal to the browser and all its parts; after KILL the page is over.
    #[cfg(unix)]
    pub fn signal(&mut self, name: &str) {
        self.browser.signal(&format!("-{name}"), true);
        self.is_over |= name == "KILL";
    }
}

/// What a page is to be told.
#[derive(Default)]
struct Orders {
    waiting: Mutex<VecDeque<String>>,
    changed: Condvar,
}

impl Orders {
    /// The next one, as soon as there is one.
    fn next(&self) -> Option<String> {
        let waiting = self.waiting.lock().expect("nobody panics with it");
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, ORDER_BOUND, |waiting| waiting.is_empty())
            .expect("nobody panics with it");
        waiting.pop_front()
    }
}

/// What a page has seen.
#[derive(Clone, Debug)]
pub struct Report {
    page: String,
    observations: Vec<(String, String)>,
}

impl Report {
    /// All of it, in order.
    pub fn observations(&self) -> Vec<(&str, &str)> {
        self.observations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn add(&mut self, line: &str) -> (String, String) {
        let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
        let observation = (key.to_owned(), value.to_owned());
        self.observations.push(observation.clone());
        observation
    }

    fn failed(&self, how: &str, browser: &str) -> String {
        let seen: String =
            self.observations.iter().map(|(key, value)| format!("  {key} = {value}\n")).collect();
        format!("{}: {how}; it had seen\n{seen}and its browser wrote\n{browser}", self.page)
    }
}

/// What a page posts.
enum Told {
    Observation(String),
    End(String),
}

/// A running browser, with its profile.
struct Browser {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    _profile: Folder,
}

impl Browser {
    fn start(address: &str, trusted_key: Option<&str>, arguments: &[String]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile = Folder::new(&format!("ferry-browser-{number}"));
        let program = std::env::var_os(BROWSER_VARIABLE).map(PathBuf::from);
        let program = program.expect("a test that found no browser has skipped");
        let mut command = Command::new(&program);
        command.args(BROWSER_ARGUMENTS).args(arguments);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args(trusted_key.map(|hash| format!("--ignore-certificate-errors-spki-list={hash}")));
        // What it leaves outside its profile goes there, too.
        command.env("HOME", profile.path());
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let errors = BufReader::new(child.stderr.take().expect("a pipe was asked for"));
        let (sender, lines) = sync_channel(MAX_LINES);
        // Ends with the browser. What is beyond the bound is read and dropped.
        thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| drop(sender.try_send(line)));
        });
        Self { child, lines, said: Vec::new(), _profile: profile }
    }

    /// Takes in what it writes. Whether it has ended, with all its parts: then nobody holds the other end of its pipe.
    fn has_ended(&mut self) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok(line) if self.said.len() < MAX_LINES => self.said.push(line),
                Ok(_) => {}
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn last_lines(&mut self) -> String {
        self.has_ended();
        let shown = &self.said[self.said.len().saturating_sub(SHOWN_LINES)..];
        shown.iter().map(|line| format!("  | {line}\n")).collect()
    }

    /// Sends a signal to the browser, or to the group of it and its parts. The browser was not waited for, so that the id
    /// is still its own.
    #[cfg(unix)]
    fn signal(&self, name: &str, group: bool) {
        let id = format!("{}{}", if group { "-" } else { "" }, self.child.id());
        let told = Command::new("kill").args([name, "--", &id]).stderr(Stdio::null()).status();
        // It may have ended by itself in the meantime.
        drop(told);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            // Told to, it ends its parts and leaves its profile alone.
            self.signal("-TERM", false);
            let deadline = Instant::now() + END_BOUND;
            while !self.has_ended() && Instant::now() < deadline {
                thread::sleep(LOOK_INTERVAL);
            }
            self.signal("-KILL", true);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Answers one request: a file of `tests/pages`, thanks for what a page posts, or the next order to it.
fn serve(stream: &TcpStream, told: &SyncSender<Told>, orders: &Orders) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST_BOUND))?;
    stream.set_write_timeout(Some(REQUEST_BOUND))?;
    let Some(request) = Request::read(stream)? else { return Ok(()) };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/observe") => {
            drop(told.try_send(Told::Observation(request.body)));
            answer(stream, "204 No Content", "text/plain", &[])
        }
        ("POST", "/end") => {
            // The page is shut as soon as this is known.
            answer(stream, "204 No Content", "text/plain", &[])?;
            drop(told.try_send(Told::End(request.body)));
            Ok(())
        }
        ("GET", "/orders") => match orders.next() {
            Some(order) => answer(stream, "200 OK", "text/plain", order.as_bytes()),
            None => answer(stream, "204 No Content", "text/plain", &[]),
        },
        ("GET", path) => match file_of_pages(path) {
            Some((kind, content)) => answer(stream, "200 OK", kind, &content),
            None => answer(stream, "404 Not Found", "text/plain", b"no such page"),
        },
        _ => answer(stream, "405 Method Not Allowed", "text/plain", &[]),
    }
}

fn file_of_pages(path: &str) -> Option<(&'static str, Vec<u8>)> {
    let name = path.strip_prefix('/')?;
    let kind = match name.rsplit_once('.')? {
        (_, "html") => "text/html",
        (_, "js") => "text/javascript",
        _ => return None,
    };
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    let content = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("pages").join(name));
    plain.then(|| content.ok())?.map(|content| (kind, content))
}

fn answer(mut stream: &TcpStream, status: &str, kind: &str, content: &[u8]) -> std::io::Result<()> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), content].concat())
}

struct Request {
    method: String,
    /// Without the query, which is the page's.
    path: String,
    body: String,
}

impl Request {
    /// None where the connection ends without a whole one.
    fn read(stream: &TcpStream) -> std::io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut head = (&mut reader).take(MAX_HEAD_BYTES);
        let mut line = String::new();
        head.read_line(&mut line)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let method = method.to_owned();
        let mut length: u64 = 0;
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        reader.take(length.min(MAX_POST_BYTES)).read_to_end(&mut body)?;
        Ok(Some(Self { method, path, body: String::from_utf8_lossy(&body).into_owned() }))
    }
}

/// For a query: what is not a letter or a digit goes by its number.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_is_given_arrives_as_it_was() {
        assert_eq!(escaped("ws://[::1]:80/a b"), "ws%3A%2F%2F%5B%3A%3A1%5D%3A80%2Fa%20b");
        assert_eq!(escaped("1,é+"), "1%2C%C3%A9%2B");
    }

    #[test]
    fn only_pages_are_served() {
        assert!(file_of_pages("/join.html").is_some_and(|(kind, _)| kind == "text/html"));
        assert!(file_of_pages("/player.js").is_some_and(|(kind, _)| kind == "text/javascript"));
        for path in ["/", "/../Cargo.toml", "/../src/lib.rs", "//etc/x.html", "/none.html", "join.html"] {
            assert!(file_of_pages(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_request_without_an_end_is_none() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let ask = |text: &str| {
            let mut client =
                TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
            client.write_all(text.as_bytes()).expect("room for a request");
            drop(client);
            let (stream, _) = listener.accept().expect("the connection");
            Request::read(&stream).expect("readable").map(|request| (request.path, request.body))
        };
        let whole = Some(("/end".to_owned(), "ok".to_owned()));
        assert_eq!(ask("POST /end?a=1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nokay"), whole);
        assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(ask(&format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(1 << 15))), None);
        assert_eq!(ask(""), None);
    }
}
