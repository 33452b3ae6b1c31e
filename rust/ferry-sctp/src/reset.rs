//! Closing streams: RE-CONFIG, RFC 6525, as RFC 8831 uses it.
//!
//! An end that has sent everything of a stream asks the other to begin it anew, and says up to which number it has sent. One
//! request is under way at a time. The other end answers "in progress" until all up to that number has come. Some
//! implementations (Chromium's) expect such a request to come again under a new number, others answer the old one when they
//! are done. So a new number is taken when it is time to ask again, and the answer to the last one that was used counts: an
//! end that never heard of a number takes none after it.
//!
//! Requests to reset the other direction, or everything, are denied: no data channel needs them. One for more streams is
//! granted, since nothing is set aside for a stream.

use std::collections::VecDeque;

use crate::incoming::Incoming;
use crate::wire::parameter::{self, Parameters, reset};
use crate::wire::{Writer, kind, u16_at, u32_at};

/// Parameters that are read in one chunk; the RFC allows two.
const PARAMETERS: usize = 2;

/// Answers that wait. A peer that asks faster than it listens misses some, and asks again.
const ANSWERS: usize = 8;

/// Streams that one request names.
const STREAMS: usize = 64;

/// Results.
const PERFORMED: u32 = 1;
const DENIED: u32 = 2;
const BAD_NUMBER: u32 = 5;
const IN_PROGRESS: u32 = 6;

/// What this end has asked.
#[derive(Debug)]
struct Asked {
    number: u32,
    last_tsn: u32,
    streams: Vec<u16>,
    /// It must leave.
    due: bool,
    /// Under a new number: the other end has answered this one with "in progress".
    renumber: bool,
}

/// What the other end has asked, and has to wait for.
#[derive(Debug)]
struct Deferred {
    number: u32,
    last_tsn: u64,
    streams: Vec<u16>,
}

#[derive(Debug)]
pub(crate) struct Resets {
    /// The number of this end's next request.
    next: u32,
    asked: Option<Asked>,
    pub(crate) attempts: u32,
    /// The number of the other end's next request.
    expected: u32,
    last_result: Option<u32>,
    deferred: Option<Deferred>,
    answers: VecDeque<(u32, u32)>,
}

impl Resets {
    pub(crate) fn new(local_tsn: u32, remote_tsn: u32) -> Self {
        Self {
            next: local_tsn,
            asked: None,
            attempts: 0,
            expected: remote_tsn,
            last_result: None,
            deferred: None,
            answers: VecDeque::new(),
        }
    }

    /// How many streams may be asked for now.
    pub(crate) fn vacancy(&self) -> usize {
        if self.asked.is_some() { 0 } else { STREAMS }
    }

    /// Asks the other end to begin these streams anew.
    pub(crate) fn ask(&mut self, streams: Vec<u16>, last_tsn: u32) {
        self.asked = Some(Asked { number: self.next, last_tsn, streams, due: true, renumber: false });
        self.next = self.next.wrapping_add(1);
        self.attempts = 0;
    }

    /// The request was not answered.
    pub(crate) fn ask_again(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.due = true;
            self.attempts += 1;
        }
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    pub(crate) fn has_something(&self) -> bool {
        !self.answers.is_empty() || self.asked.as_ref().is_some_and(|asked| asked.due)
    }

    /// A RE-CONFIG came: the streams of this end that are closed now.
    pub(crate) fn heard(&mut self, value: &[u8], incoming: &mut Incoming) -> Vec<u16> {
        let mut closed = Vec::new();
        for parameter in Parameters(value).take(PARAMETERS) {
            let value = parameter.value;
            if value.len() < 4 {
                continue;
            }
            let number = u32_at(value, 0);
            match parameter.kind {
                reset::OUTGOING if value.len() >= 12 => self.asked_for(number, value, incoming),
                reset::INCOMING | reset::ASSOCIATION | reset::ADD_INCOMING => self.refuse(number, DENIED),
                reset::ADD_OUTGOING => self.refuse(number, PERFORMED),
                reset::RESPONSE if value.len() >= 8 => closed.extend(self.answered(number, u32_at(value, 4))),
                _ => {}
            }
        }
        closed
    }

    fn answer(&mut self, number: u32, result: u32) {
        self.answers.retain(|&(waiting, _)| waiting != number);
        if self.answers.len() < ANSWERS {
            self.answers.push_back((number, result));
        }
    }

    /// A request that is answered without anything being done.
    fn refuse(&mut self, number: u32, result: u32) {
        if number == self.expected {
            self.expected = self.expected.wrapping_add(1);
            self.last_result = Some(result);
        }
        self.answer_known(number);
    }

    /// Answers the last request, once more perhaps.
    fn answer_known(&mut self, number: u32) {
        match self.last_result {
            Some(result) if number.wrapping_add(1) == self.expected => self.answer(number, result),
            _ => self.answer(number, BAD_NUMBER),
        }
    }

    fn asked_for(&mut self, number: u32, value: &[u8], incoming: &mut Incoming) {
        if number == self.expected {
            self.expected = self.expected.wrapping_add(1);
            let last_tsn = incoming.whole_number(u32_at(value, 8));
            let streams: Vec<_> = value[12..].chunks_exact(2).map(|stream| u16_at(stream, 0)).collect();
            self.last_result = Some(IN_PROGRESS);
            self.deferred = Some(Deferred { number, last_tsn, streams });
            self.perform(incoming);
        }
        self.answer_known(number);
    }

    /// More has come: perhaps all that a reset waits for.
    pub(crate) fn perform(&mut self, incoming: &mut Incoming) {
        let come = |deferred: &mut Deferred| deferred.last_tsn <= incoming.cumulative();
        if incoming.is_full() {
            return;
        }
        let Some(deferred) = self.deferred.take_if(come) else { return };
        incoming.reset(&deferred.streams, deferred.last_tsn);
        self.last_result = Some(PERFORMED);
        self.answer(deferred.number, PERFORMED);
    }

    /// The streams that are closed with this answer.
    fn answered(&mut self, number: u32, result: u32) -> Vec<u16> {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.number == number) else {
            return Vec::new();
        };
        if result == IN_PROGRESS {
            asked.renumber = true;
            self.attempts = 0;
            return Vec::new();
        }
        // Refused or done: the channel is closed either way.
        self.asked.take().map(|asked| asked.streams).unwrap_or_default()
    }

    /// Writes what fits.
    pub(crate) fn write(&mut self, writer: &mut Writer<'_>) {
        while let Some(&(number, result)) = self.answers.front()
            && writer.room() >= 16
        {
            self.answers.pop_front();
            writer.chunk(kind::RE_CONFIG, 0, |out| {
                parameter::write(out, reset::RESPONSE, |out| {
                    out.extend_from_slice(&number.to_be_bytes());
                    out.extend_from_slice(&result.to_be_bytes());
                });
            });
        }
        let expected = self.expected.wrapping_sub(1);
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.due) else { return };
        if writer.room() < 20 + 2 * asked.streams.len() {
            return;
        }
        asked.due = false;
        if std::mem::take(&mut asked.renumber) {
            asked.number = self.next;
            self.next = self.next.wrapping_add(1);
        }
        writer.chunk(kind::RE_CONFIG, 0, |out| {
            parameter::write(out, reset::OUTGOING, |out| {
                for number in [asked.number, expected, asked.last_tsn] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                for stream in &asked.streams {
                    out.extend_from_slice(&stream.to_be_bytes());
                }
            });
        });
    }
}
