//! Questions to the local network for the names behind which browsers hide a page's own addresses (RFC 6762; the names:
//! draft-ietf-mmusic-mdns-ice-candidates).
//!
//! A question goes to 224.0.0.251 and ff02::fb, port 5353, and asks to be answered directly. Anybody on the network may
//! answer, and send anything: names are followed through a bounded number of pointers that only lead backwards, at most
//! [`MAX_RECORDS`] records are looked at, and only records of exactly the name asked for count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where questions are sent.
pub(crate) const PORT: u16 = 5353;
pub(crate) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// In a question: answer me and not the whole network. In a record: forget what you knew. Both are the class's top bit.
const UNICAST: u16 = 0x8000;
const HEADER: usize = 12;

/// Records looked at in one answer: a host has a few addresses, and other records may stand beside them.
const MAX_RECORDS: usize = 32;
/// Addresses taken of one answer.
const MAX_ADDRESSES: usize = 4;
/// The longest label, by the format's own rule.
const MAX_LABEL: usize = 63;
/// Labels of a name; each pointer also counts as one.
const MAX_STEPS: usize = 32;

/// Whether a host's name may be asked for: one label below `.local`.
pub(crate) fn is_name(name: &str) -> bool {
    label(name).is_some()
}

fn label(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let (label, domain) = name.split_once('.')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (domain.eq_ignore_ascii_case("local")
        && (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(allowed))
    .then_some(label)
}

/// The packet that asks for a name's addresses of both families; empty for a name that is not asked for.
pub(crate) fn query(name: &str) -> Vec<u8> {
    let Some(label) = label(name) else { return Vec::new() };
    let mut packet = vec![0; HEADER];
    packet[5] = 2;
    for (place, kind) in [(0, A), (1, AAAA)] {
        if place == 0 {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label.as_bytes());
            packet.extend_from_slice(b"\x05local\0");
        } else {
            // The second question's name is the first one's.
            packet.extend_from_slice(&(0xC000 | HEADER as u16).to_be_bytes());
        }
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&(UNICAST | INTERNET).to_be_bytes());
    }
    packet
}

/// The addresses that a packet gives for a name; none if it is no answer, is broken, or is about something else.
pub(crate) fn answer(packet: &[u8], name: &str) -> Option<Vec<IpAddr>> {
    let label = label(name)?;
    let mut reader = Reader { packet, at: 2 };
    let is_answer = reader.word()? & 0x800F == 0x8000;
    if !is_answer {
        return None;
    }
    let questions = usize::from(reader.word()?);
    let records = [reader.word()?, reader.word()?, reader.word()?].map(usize::from).iter().sum::<usize>();
    for _ in 0..questions.min(MAX_RECORDS) {
        reader.is_name(label)?;
        reader.take(4)?;
    }
    let mut found = Vec::new();
    for _ in 0..records.min(MAX_RECORDS) {
        // A record that is cut off ends the packet; what stood before it counts.
        let Some(record) = reader.record(label) else { break };
        if let Some(address) = record
            && !found.contains(&address)
            && found.len() < MAX_ADDRESSES
        {
            found.push(address);
        }
    }
    (!found.is_empty()).then_some(found)
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let part = self.packet.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(part)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2).map(|two| u16::from_be_bytes([two[0], two[1]]))
    }

    /// Goes past a record; the address in it, if it is one of the name's.
    fn record(&mut self, wanted: &str) -> Option<Option<IpAddr>> {
        let ours = self.is_name(wanted)?;
        let kind = self.word()?;
        let class = self.word()? & !UNICAST;
        self.take(4)?;
        let length = usize::from(self.word()?);
        let data = self.take(length)?;
        let address = match kind {
            A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        Some(address.filter(|_| ours && class == INTERNET))
    }

    /// Goes past a name, and says whether it is the one wanted.
    fn is_name(&mut self, wanted: &str) -> Option<bool> {
        let expected = [wanted.as_bytes(), b"local"];
        let (mut matches, mut labels) = (true, 0);
        let mut place = self.at;
        let mut end = None;
        for _ in 0..MAX_STEPS {
            let length = usize::from(*self.packet.get(place)?);
            match length {
                0 => {
                    self.at = end.unwrap_or(place + 1);
                    return Some(matches && labels == expected.len());
                }
                1..=MAX_LABEL => {
                    let text = self.packet.get(place + 1..place + 1 + length)?;
                    matches &= expected.get(labels).is_some_and(|label| label.eq_ignore_ascii_case(text));
                    labels += 1;
                    place += 1 + length;
                }
                0xC0.. => {
                    let low = usize::from(*self.packet.get(place + 1)?);
                    end.get_or_insert(place + 2);
                    let target = (length & 0x3F) << 8 | low;
                    // Only backwards: no loop is possible.
                    if target >= place {
                        return None;
                    }
                    place = target;
                }
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "3f2c1c3e-6b0f-4f5a-9a63-1d2e3f405162.local";

    fn answer_with(records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
        for (place, (kind, data)) in records.iter().enumerate() {
            if place == 0 {
                let label = NAME.strip_suffix(".local").expect("it has one");
                packet.push(label.len() as u8);
                packet.extend_from_slice(label.to_ascii_uppercase().as_bytes());
                packet.extend_from_slice(b"\x05local\0");
            } else {
                packet.extend_from_slice(&[0xC0, 12]);
            }
            packet.extend_from_slice(&kind.to_be_bytes());
            packet.extend_from_slice(&[0x80, 1, 0, 0, 0, 120]);
            packet.extend_from_slice(&(data.len() as u16).to_be_bytes());
            packet.extend_from_slice(data);
        }
        packet
    }

    #[test]
    fn only_single_labels_below_local_are_names() {
        for name in [NAME, "a.local", "A.LOCAL", "a.local."] {
            assert!(is_name(name), "{name}");
            assert!(!query(name).is_empty());
        }
        for name in ["local", ".local", "a.b.local", "a.example", "", "a b.local", "é.local"] {
            assert!(!is_name(name), "{name}");
            assert!(query(name).is_empty());
        }
        assert!(!is_name(&format!("{}.local", "a".repeat(64))));
    }

    #[test]
    fn a_question_asks_for_both_families_and_a_direct_answer() {
        let packet = query("ab.local");
        assert_eq!(&packet[..HEADER], [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&packet[HEADER..], b"\x02ab\x05local\0\0\x01\x80\x01\xC0\x0C\0\x1C\x80\x01");
        assert_eq!(answer(&packet, "ab.local"), None, "a question is no answer");
    }

    #[test]
    fn addresses_of_both_families_are_found_in_any_case_of_letters() {
        let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        let packet = answer_with(&[(16, b"words"), (A, &[192, 0, 2, 1]), (AAAA, &six.octets())]);
        assert_eq!(answer(&packet, NAME), Some(vec![[192, 0, 2, 1].into(), six.into()]));
        assert_eq!(answer(&packet, "other.local"), None);
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_borne() {
        let whole = answer_with(&[(A, &[192, 0, 2, 1]), (A, &[192, 0, 2, 2])]);
        for end in 0..whole.len() {
            let found = answer(&whole[..end], NAME);
            assert!(found.is_none_or(|found| found.len() == 1), "{end} bytes");
        }
        for place in 0..whole.len() {
            for value in 0..=255 {
                let mut packet = whole.clone();
                packet[place] = value;
                let _ = answer(&packet, NAME);
            }
        }
    }

    #[test]
    fn pointers_that_lead_in_circles_or_forwards_end_the_packet() {
        for target in [12_u8, 13, 200] {
            let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            packet.extend_from_slice(&[0xC0, target, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
            assert_eq!(answer(&packet, NAME), None);
        }
        let mut chain = vec![0, 0, 0x84, 0, 0, 0, 255, 255, 255, 255, 255, 255];
        for place in 0..200_u16 {
            chain.extend_from_slice(&(0xC000 | (12 + place.saturating_sub(1) * 2)).to_be_bytes());
        }
        assert_eq!(answer(&chain, NAME), None);
    }

    #[test]
    fn a_flood_of_records_is_read_to_its_bound_only() {
        let many: Vec<(u16, Vec<u8>)> = (0..200).map(|i| (A, vec![10, 0, 0, i])).collect();
        let borrowed: Vec<(u16, &[u8])> = many.iter().map(|(kind, data)| (*kind, &data[..])).collect();
        assert_eq!(answer(&answer_with(&borrowed), NAME).expect("some").len(), MAX_ADDRESSES);
    }
}
