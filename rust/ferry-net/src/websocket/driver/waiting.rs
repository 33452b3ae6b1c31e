//! Handshakes under way at a server: bounded in all and for each address, so that nobody can keep the door shut.
//!
//! When there are too many, the address that has the most loses its oldest: somebody who holds a thousand connections open
//! and says nothing gets in his own way, not in others'. IPv6 addresses of one network of 64 bits count as one, since
//! whoever has one has them all.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use tokio::task::AbortHandle;

/// In all. A whole server's worth may come in the same moment; each costs some kilobytes, with TLS some ten.
const MOST: usize = 4096;

/// From one address: a school's worth of players behind one router.
const MOST_OF_ONE: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    of: HashMap<IpAddr, BTreeMap<u64, AbortHandle>>,
    count: usize,
}

impl Waiting {
    /// Somebody has knocked. Behind a proxy that the game trusts are many, who count as one in nothing but address.
    pub(super) fn add(&mut self, from: IpAddr, is_proxy: bool, knock: u64, task: AbortHandle) {
        let key = network(from);
        let own = self.of.entry(key).or_default();
        own.insert(knock, task);
        let too_many = own.len() > MOST_OF_ONE && !is_proxy;
        self.count += 1;
        if too_many {
            self.end_oldest_of(key);
        } else if self.count > MOST {
            self.make_room();
        }
    }

    /// Somebody was let in, or is gone.
    pub(super) fn remove(&mut self, from: IpAddr, knock: u64) {
        let key = network(from);
        let Some(own) = self.of.get_mut(&key) else { return };
        self.count -= usize::from(own.remove(&knock).is_some());
        if own.is_empty() {
            self.of.remove(&key);
        }
    }

    /// Ends the oldest of whoever has the most; false if nobody waits.
    pub(super) fn make_room(&mut self) -> bool {
        let most = self.of.iter().max_by_key(|(_, own)| own.len()).map(|(key, _)| *key);
        most.is_some_and(|key| self.end_oldest_of(key))
    }

    fn end_oldest_of(&mut self, key: IpAddr) -> bool {
        let Some(own) = self.of.get_mut(&key) else { return false };
        // Later knocks have higher numbers.
        let Some((_, task)) = own.pop_first() else { return false };
        task.abort();
        self.count -= 1;
        if own.is_empty() {
            self.of.remove(&key);
        }
        true
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & (u128::MAX << 64)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> tokio::task::JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    #[tokio::test]
    async fn whoever_has_the_most_loses_his_oldest() {
        let mut waiting = Waiting::default();
        let honest = task();
        waiting.add(IpAddr::from([10, 0, 0, 1]), false, 0, honest.abort_handle());
        let mut crowd: Vec<_> = (1..=MOST_OF_ONE as u64 + 5)
            .map(|number| {
                let task = task();
                waiting.add(IpAddr::from([10, 0, 0, 2]), false, number, task.abort_handle());
                task
            })
            .collect();
        for task in crowd.drain(..5) {
            assert!(task.await.expect_err("one of the oldest").is_cancelled());
        }
        assert!(!crowd[0].is_finished() && !honest.is_finished());
        assert_eq!(waiting.count, MOST_OF_ONE + 1);
        assert!(waiting.make_room());
        assert!(crowd.remove(0).await.expect_err("the next oldest").is_cancelled());
        assert!(!crowd[0].is_finished() && !honest.is_finished());
        waiting.remove(IpAddr::from([10, 0, 0, 1]), 0);
        assert_eq!(waiting.count, MOST_OF_ONE - 1);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let one: IpAddr = "2001:db8:1:2::1".parse().expect("an address");
        let other: IpAddr = "2001:db8:1:2:ffff::7".parse().expect("an address");
        let far: IpAddr = "2001:db8:1:3::1".parse().expect("an address");
        assert_eq!(network(one), network(other));
        assert_ne!(network(one), network(far));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().expect("an address");
        assert_eq!(network(mapped), IpAddr::from([10, 0, 0, 1]));
    }
}
