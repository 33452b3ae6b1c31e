//! What one run of a case found, as a line that can be kept and read again.
//!
//! The scripts tell figures line by line (`FERRY_BENCH key value`); those of the server's process and of the clients' are
//! kept apart by what stands before their key.

use std::collections::{BTreeMap, HashMap};

use crate::flat_json;

/// Who told a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The server's process, or the only one.
    Server,
    Clients,
}

impl Who {
    fn prefix(self) -> &'static str {
        match self {
            Self::Server => "server.",
            Self::Clients => "clients.",
        }
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn note(&mut self, who: Who, key: &str, value: f64) {
        self.0.insert(format!("{}{key}", who.prefix()), value);
    }

    pub(crate) fn get(&self, who: Who, key: &str) -> Option<f64> {
        self.0.get(&format!("{}{key}", who.prefix())).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One run: of which case, with which classes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// As [`super::cases::Case::id`] has it.
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) clients: String,
    /// Nothing of it if the run failed.
    pub(crate) figures: Option<Figures>,
}

impl Record {
    pub(crate) fn to_line(&self) -> String {
        let mut line = format!(
            "{{\"case\":{},\"server\":{},\"clients\":{}",
            flat_json::quote(&self.case),
            flat_json::quote(&self.server),
            flat_json::quote(&self.clients)
        );
        match &self.figures {
            Some(Figures(figures)) => {
                for (key, value) in figures {
                    line.push_str(&format!(",{}:{value}", flat_json::quote(key)));
                }
            }
            None => line.push_str(",\"failed\":true"),
        }
        line + "}"
    }

    /// Nothing where the line is not one of ours: the line about the machine, for one.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut values: HashMap<String, String> = flat_json::read(line)?;
        let mut word = |key: &str| values.remove(key);
        let (case, server, clients) = (word("case")?, word("server")?, word("clients")?);
        let failed = word("failed").is_some();
        let figures = values.into_iter().filter_map(|(key, value)| Some((key, value.parse().ok()?)));
        let figures = (!failed).then(|| Figures(figures.collect()));
        Some(Self { case, server, clients, figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let mut figures = Figures::default();
        figures.note(Who::Server, "game_ms", 0.25);
        figures.note(Who::Clients, "put", 30720.0);
        let record = Record {
            case: "enet frame n=512".to_owned(),
            server: "ENetMultiplayerPeer".to_owned(),
            clients: "FerryENetMultiplayerPeer".to_owned(),
            figures: Some(figures),
        };
        let read = Record::read(&record.to_line()).expect("a record");
        assert_eq!(read, record);
        let figures = read.figures.expect("it did not fail");
        assert_eq!(figures.get(Who::Clients, "put"), Some(30720.0));
        assert_eq!(figures.get(Who::Server, "put"), None);
        let failed = Record { figures: None, ..record };
        assert_eq!(Record::read(&failed.to_line()), Some(failed));
        assert_eq!(Record::read("{\"machine\":\"two cores\"}"), None);
    }
}
