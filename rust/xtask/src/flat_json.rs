//! One flat JSON object on a line, as the engine's scripts and the benchmark write them.
//!
//! The reader takes strings, numbers and the three words of JSON; a nested value or anything broken is no object. Numbers are
//! kept as they were written.

use std::collections::HashMap;

/// Reads one object: its values by key.
pub(crate) fn read(text: &str) -> Option<HashMap<String, String>> {
    let mut reader = Reader { rest: text.trim() };
    let mut values = HashMap::new();
    reader.take('{')?;
    if reader.take('}').is_none() {
        loop {
            let key = reader.string()?;
            reader.take(':')?;
            values.insert(key, reader.value()?);
            if reader.take(',').is_none() {
                reader.take('}')?;
                break;
            }
        }
    }
    reader.rest.is_empty().then_some(values)
}

/// A string as JSON has it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, mark: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(mark)?.trim_start();
        Some(())
    }

    fn value(&mut self) -> Option<String> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let end = self.rest.find([',', '}']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = word.trim_end();
        let known = ["true", "false", "null"].contains(&word) || word.parse::<f64>().is_ok();
        self.rest = rest;
        known.then(|| word.to_owned())
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.strip_prefix('"')?.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => text.push(match characters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let digits: String = characters.by_ref().take(4).collect();
                        // Half of a pair is none of what a match writes.
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    plain => plain,
                }),
                plain => text.push(plain),
            }
        }
        self.rest = characters.as_str().trim_start();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quoted_is_read_as_it_was() {
        let text = "a \"quoted\" \\ line\nand\tmore";
        let object = read(&format!("{{\"a\":{}}}", quote(text))).expect("an object");
        assert_eq!(object["a"], text);
    }

    #[test]
    fn what_is_broken_is_no_object() {
        for text in [
            "",
            "{",
            "[1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1} more",
            "{\"a\":{\"b\":1}}",
            "{\"a\":\"open}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":word}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
