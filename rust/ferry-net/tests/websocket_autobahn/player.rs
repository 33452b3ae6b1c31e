//! Plays a case against one of Ferry's ends.

use std::time::{Duration, Instant};

use crate::cases::{Case, End};
use crate::echo::{Echo, Subject};
use crate::websocket_support::frames::{BINARY, CLOSE, CONTINUE, Frame, PING, PONG, TEXT};
use crate::websocket_support::raw::Raw;

/// A case is over within this time, or never.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A failed connection is closed this soon.
const CLOSES_WITHIN: Duration = Duration::from_secs(3);

/// Between two turns of the game: there are thousands of cases, and two cores.
pub(crate) const TURN: Duration = Duration::from_micros(50);

/// What came back.
#[derive(Default)]
struct Came {
    echoes: Vec<(u8, Vec<u8>)>,
    /// A message in part.
    part: Option<(u8, Vec<u8>)>,
    pongs: Vec<Vec<u8>>,
    goodbye: Option<Option<u16>>,
}

impl Came {
    fn take(&mut self, frame: &Frame) -> Result<(), String> {
        if frame.reserved != 0 {
            return Err(format!("reserved bits came: {}", frame.reserved));
        }
        if self.goodbye.is_some() {
            return Err(format!("behind its goodbye came opcode {}", frame.opcode));
        }
        match (frame.opcode, &mut self.part) {
            (TEXT | BINARY, None) => self.part = Some((frame.opcode, frame.payload.to_vec())),
            (CONTINUE, Some((_, payload))) => payload.extend_from_slice(&frame.payload),
            (PONG, _) => self.pongs.push(frame.payload.to_vec()),
            (PING, _) => {}
            (CLOSE, _) => self.goodbye = Some(frame.code()),
            (opcode, part) => {
                return Err(format!("opcode {opcode} came out of turn (part: {})", part.is_some()));
            }
        }
        if frame.opcode < CLOSE && frame.last {
            self.echoes.extend(self.part.take());
        }
        Ok(())
    }
}

/// Plays it; says what is wrong.
pub(crate) fn play(case: &Case, subject: Subject) -> Result<(), String> {
    let (mut echo, mut table) = Echo::open(subject);
    table.chop(case.chop);
    for frame in &case.frames {
        table.send_frame(frame);
    }
    let mut came = Came::default();
    let mut said_goodbye = false;
    let started = Instant::now();
    while came.goodbye.is_none() {
        turn(&mut echo, &mut table, &mut came)?;
        let all_back = came.echoes.len() >= case.echoes.len() && came.pongs.len() >= case.pongs.len();
        if matches!(case.end, End::Open) && all_back && !said_goodbye {
            said_goodbye = true;
            table.send_frame(&Frame::close(1000, ""));
        }
        if came.goodbye.is_none() && table.gone.is_some() {
            return Err(format!("{:?} without a goodbye{}", table.gone, progress(case, &came)));
        }
        if started.elapsed() > BOUND {
            return Err(format!("not over within the bound{}", progress(case, &came)));
        }
    }
    if subject == Subject::Client {
        // A server hangs up first.
        table.finish();
    }
    let closing = Instant::now();
    while table.gone.is_none() || echo.ended.is_none() {
        turn(&mut echo, &mut table, &mut came)?;
        if closing.elapsed() > CLOSES_WITHIN {
            return Err(format!("is still there: {:?}, the game heard {:?}", table.gone, echo.ended));
        }
    }
    compare(case, &came)?;
    heard(case, &echo)
}

fn turn(echo: &mut Echo, table: &mut Raw, came: &mut Came) -> Result<(), String> {
    echo.turn();
    table.turn();
    while let Some(frame) = table.take_frame() {
        came.take(&frame)?;
    }
    std::thread::sleep(TURN);
    Ok(())
}

fn progress(case: &Case, came: &Came) -> String {
    format!(
        ": {} of {} echoes, {} of {} pongs",
        came.echoes.len(),
        case.echoes.len(),
        came.pongs.len(),
        case.pongs.len()
    )
}

fn compare(case: &Case, came: &Came) -> Result<(), String> {
    let (code, all) = match case.end {
        End::Open => (Some(1000), true),
        End::Closed(code) => (code, !case.may_lose_echoes),
        End::Failed(code) => (Some(code), false),
    };
    if came.goodbye != Some(code) {
        return Err(format!("said goodbye with {:?} instead of {code:?}", came.goodbye));
    }
    let as_expected = if all {
        came.echoes == case.echoes && came.pongs == case.pongs
    } else {
        case.echoes.starts_with(&came.echoes) && case.pongs.starts_with(&came.pongs)
    };
    if as_expected { Ok(()) } else { Err(format!("something else came back{}", progress(case, came))) }
}

/// What the game was told.
fn heard(case: &Case, echo: &Echo) -> Result<(), String> {
    let Some(ended) = &echo.ended else { return Err("the game heard nothing".to_owned()) };
    // Of the other end's goodbye; without a word, it is 0, as the engine has it. Of the own one where something was wrong.
    let said = match case.end {
        End::Open => Some(1000),
        End::Closed(None) => Some(0),
        End::Closed(_) => case.frames.iter().find_map(Frame::code),
        End::Failed(code) => Some(code),
    };
    if ended.code != said || ended.farewell.reason != case.reason() {
        return Err(format!("the game heard {ended:?} instead of {said:?}, {:?}", case.reason()));
    }
    Ok(())
}
