//! The names ending in `.local` behind which browsers hide their addresses: each is looked up once, however many
//! candidates carry it.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::candidate::{self, Remote};
use super::{Token, Tokens, Want};

/// Names of one peer: a browser has one for each of its addresses.
const MAX_NAMES: usize = 8;

/// Candidates that wait for one name.
const MAX_WAITING: usize = 16;

/// Addresses of one name: one of each family.
const MAX_ADDRESSES: usize = 2;

#[derive(Default)]
pub(super) struct Names(Vec<Name>);

struct Name {
    name: String,
    token: Token,
    /// None while it is being looked up.
    found: Option<Vec<IpAddr>>,
    waiting: Vec<Remote>,
}

impl Names {
    /// A candidate with a name; the addresses, if the name has been looked up before.
    pub(super) fn add(
        &mut self,
        name: &str,
        remote: Remote,
        tokens: &mut Tokens,
        wants: &mut VecDeque<Want>,
    ) -> Vec<IpAddr> {
        if let Some(known) = self.0.iter_mut().find(|known| known.name == name) {
            match &known.found {
                Some(found) => return found.clone(),
                None if known.waiting.len() < MAX_WAITING => known.waiting.push(remote),
                None => {}
            }
        } else if self.0.len() < MAX_NAMES {
            let token = tokens.draw();
            wants.push_back(Want::Resolve { token, name: name.to_owned(), is_mdns: true });
            self.0.push(Name { name: name.to_owned(), token, found: None, waiting: vec![remote] });
        }
        Vec::new()
    }

    /// The candidates that a look-up makes usable.
    pub(super) fn resolved(&mut self, token: Token, addresses: Vec<IpAddr>) -> Vec<(IpAddr, Remote)> {
        let Some(name) = self.0.iter_mut().find(|name| name.token == token && name.found.is_none()) else {
            return Vec::new();
        };
        let mut found: Vec<IpAddr> = addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        found.retain(|ip| candidate::is_usable(*ip));
        found.truncate(MAX_ADDRESSES);
        let waiting = std::mem::take(&mut name.waiting);
        let pairs = waiting.iter().flat_map(|remote| found.iter().map(|ip| (*ip, remote.clone()))).collect();
        name.found = Some(found);
        pairs
    }

    /// The candidates are of a generation that is over. Addresses that were found stay known.
    pub(super) fn forget_waiting(&mut self) {
        for name in &mut self.0 {
            name.waiting.clear();
        }
    }
}
