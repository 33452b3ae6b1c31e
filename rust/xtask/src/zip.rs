//! A zip archive as `package` needs it: files by name, stored as they are.
//!
//! Written by the format's specification (PKWARE's APPNOTE): a local header and the bytes for each file, then the central
//! directory and its end. Without compression, and below 4 GiB, so that every unpacker reads it. Every file gets the same
//! time, and the same files give the same archive.

/// What a reader has to know to read it: version 1.0, stored files.
const VERSION_NEEDED: u16 = 10;

/// Made on Unix: the upper half of the attributes is the file's mode there.
const MADE_BY: u16 = (3 << 8) | VERSION_NEEDED;

/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;

const STORED: u16 = 0;

/// Midnight, and the first day that the format knows: 1 January 1980.
const TIME: u16 = 0;
const DATE: u16 = (1 << 5) | 1;

/// Regular files; everybody reads, the owner writes. A library needs no more to be loaded.
const MODE: u32 = 0o100_644 << 16;

#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

impl Archive {
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> Result<(), String> {
        let too_large = || format!("{name} does not fit into an archive of 4 GiB");
        let length = u32::try_from(content.len()).map_err(|_| too_large())?;
        let offset = u32::try_from(self.bytes.len()).map_err(|_| too_large())?;
        let name_length = u16::try_from(name.len()).map_err(|_| format!("{name} is too long a name"))?;
        let mut common = Vec::new();
        for field in [VERSION_NEEDED, FLAGS, STORED, TIME, DATE] {
            common.extend(field.to_le_bytes());
        }
        for field in [crc32(content), length, length] {
            common.extend(field.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        // No extra field.
        common.extend(0_u16.to_le_bytes());

        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(content);

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(&common);
        // No comment, the first disk, no internal attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(MODE.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.files = self.files.checked_add(1).ok_or("too many files for an archive")?;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>, String> {
        let too_large = |_| "the archive is larger than 4 GiB".to_owned();
        let offset = u32::try_from(self.bytes.len()).map_err(too_large)?;
        let length = u32::try_from(self.directory.len()).map_err(too_large)?;
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06");
        // The first disk of one.
        self.bytes.extend([0; 4]);
        self.bytes.extend(self.files.to_le_bytes());
        self.bytes.extend(self.files.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(offset.to_le_bytes());
        // No comment.
        self.bytes.extend([0; 2]);
        Ok(self.bytes)
    }
}

/// The checksum of zip, gzip and Ethernet, a byte at a time by a table.
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|index| {
        let mut value = u32::try_from(index).expect("an index below 256");
        for _ in 0..8 {
            value = (value >> 1) ^ if value & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
        value
    });
    let step = |sum: u32, byte: &u8| table[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::run::{answer, exists};

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn an_archive_has_its_directory_at_its_end() {
        let mut archive = Archive::default();
        archive.add("a/b.txt", b"hello").expect("it fits");
        let bytes = archive.finish().expect("it fits");
        // Local header 30, directory entry 46, end 22, the name twice, the content once.
        assert_eq!(bytes.len(), 30 + 46 + 22 + 2 * 7 + 5);
        assert_eq!(&bytes[..4], b"PK\x03\x04");
        assert_eq!(&bytes[30..42], b"a/b.txthello");
        assert_eq!(&bytes[42..46], b"PK\x01\x02");
        let end = bytes.len() - 22;
        assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
        assert_eq!(&bytes[end + 16..end + 20], 42_u32.to_le_bytes());
    }

    #[test]
    fn other_unpackers_find_the_archive_whole() {
        let mut archive = Archive::default();
        archive.add("ferry/kärnten.txt", b"hello").expect("it fits");
        archive.add("ferry/empty", b"").expect("it fits");
        archive.add("ferry/bin/large", &vec![0xA5; 1 << 20]).expect("it fits");
        let file = std::env::temp_dir().join(format!("ferry-{}.zip", std::process::id()));
        std::fs::write(&file, archive.finish().expect("it fits")).expect("the archive");
        let mut judges = [Command::new("unzip"), Command::new("python3")];
        judges[0].args(["-tqq"]).arg(&file);
        judges[1].args(["-m", "zipfile", "-t"]).arg(&file);
        for judge in &mut judges {
            // Where neither is installed, the layout is tested above all the same.
            if exists(judge.get_program()) {
                answer(judge).expect("the archive is whole");
            }
        }
        std::fs::remove_file(&file).expect("the file goes");
    }
}
