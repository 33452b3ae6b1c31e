//! Maps by numbers that name something, looked into for every packet.
//!
//! Two of the names, peers' ids and links, are looked up on the way of each packet, where the standard library's hashing would
//! be a good part of what a put costs. The numbers are mixed by two multiplications with keys that are drawn for each map:
//! peers choose their ids, and must not be able to choose ones that fall into the same place.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map by ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, Keys>;

/// The keys of one map.
#[derive(Clone)]
pub(crate) struct Keys {
    first: u64,
    second: u64,
}

impl Default for Keys {
    fn default() -> Self {
        let random = RandomState::new();
        Self { first: random.hash_one(1), second: random.hash_one(2) | 1 }
    }
}

impl BuildHasher for Keys {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer { state: self.first, factor: self.second }
    }
}

/// Mixes the numbers of one id.
pub(crate) struct Mixer {
    state: u64,
    factor: u64,
}

impl Mixer {
    fn mix(&mut self, number: u64) {
        // Twice, as a product's low bits know nothing of the number's high ones.
        let once = (self.state ^ number).wrapping_mul(self.factor);
        let twice = (once ^ (once >> 32)).wrapping_mul(self.factor);
        self.state = twice ^ (twice >> 29);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_i32(&mut self, number: i32) {
        self.mix(u64::from(number.cast_unsigned()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_spread_however_they_are_chosen() {
        const IDS: u32 = 4096;
        for spacing in [1_u32, 2, 1 << 10, 1 << 20] {
            let keys = Keys::default();
            let places: HashSet<u64> =
                (0..IDS).map(|number| keys.hash_one(number.wrapping_mul(spacing)) % u64::from(IDS)).collect();
            let different = (0..IDS).map(|number| number.wrapping_mul(spacing)).collect::<HashSet<_>>().len();
            // Thrown at random, 63 % of the places are hit where there are as many as ids.
            let wanted = 0.5 * different.min(places.capacity()) as f64;
            assert!(
                places.len() as f64 > wanted,
                "{} places of {different} ids {spacing} apart",
                places.len()
            );
        }
    }

    #[test]
    fn what_was_put_in_is_found_by_its_id() {
        let mut map: IdMap<(i32, u32), i32> = IdMap::default();
        for number in -500..500 {
            map.insert((number, 7), number);
        }
        assert!((-500..500).all(|number| map.get(&(number, 7)) == Some(&number)));
        assert_eq!(map.get(&(7, 500)), None);
    }
}
