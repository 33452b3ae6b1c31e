//! Looking up host names without holding anybody up: the operating system's resolver runs on a thread of its own
//! (`aside`).

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::address::{canonical, without_brackets};
use crate::aside::{self, NoAnswer};

/// Addresses taken from one answer: both families of two machines.
const MAX_ADDRESSES: usize = 4;

/// What threads that wait for the resolver are called.
const THREAD: &str = "ferry-lookup";

/// An address literal, in any of the ways that users write it.
pub(crate) fn literal(text: &str) -> Option<IpAddr> {
    without_brackets(text.trim()).parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Finds the addresses of a name and hands them to `tell`, on another thread; or a sentence if there are none.
pub(crate) fn find(name: String, port: u16, tell: impl FnOnce(Found) + Send + 'static) {
    let ask = move || ask_system(&name, port);
    aside::run(THREAD, ask, move |answer| tell(answer.unwrap_or_else(not_asked)));
}

/// Waits for the addresses of a name, or a sentence if there are none.
pub(crate) async fn found(name: String, port: u16) -> Found {
    aside::wait_for(THREAD, move || ask_system(&name, port)).await.unwrap_or_else(not_asked)
}

/// The addresses, or why there are none.
pub(crate) type Found = Result<Vec<SocketAddr>, String>;

fn not_asked(none: NoAnswer) -> Found {
    Err(match none {
        NoAnswer::TooMany => "too many look-ups are under way",
        NoAnswer::Failed => "the look-up failed to run",
    }
    .to_owned())
}

fn ask_system(name: &str, port: u16) -> Found {
    let found = (name, port).to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found.map(canonical) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // On the own machine most servers listen on the old family only, whatever the resolver prefers.
    addresses.sort_by_key(|address| address.ip().is_loopback() && address.is_ipv6());
    addresses.truncate(MAX_ADDRESSES);
    if addresses.is_empty() { Err(format!("{name} has no address")) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn find_and_wait(name: &str) -> Found {
        let (tell, told) = mpsc::channel();
        find(name.to_owned(), 7, move |found| tell.send(found).expect("somebody waits"));
        told.recv().expect("an answer")
    }

    #[test]
    fn literals_are_told_from_names() {
        assert_eq!(literal("127.0.0.1"), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(literal("::1"), Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        assert_eq!(literal("[::1]"), literal("::1"));
        assert_eq!(literal("::ffff:10.0.0.1"), Some(IpAddr::from([10, 0, 0, 1])));
        for name in ["localhost", "", "1.2.3", "example.com", "[::1"] {
            assert_eq!(literal(name), None, "{name}");
        }
    }

    #[test]
    fn localhost_is_found_and_its_older_address_comes_first() {
        let found = find_and_wait("localhost").expect("every machine knows localhost");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        if found.iter().any(SocketAddr::is_ipv4) {
            assert!(found[0].is_ipv4());
        }
    }

    #[test]
    fn a_name_that_does_not_exist_says_so() {
        assert!(
            find_and_wait("no.such.host.invalid").expect_err("not found").contains("no.such.host.invalid")
        );
    }
}
