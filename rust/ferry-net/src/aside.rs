//! Work that the operating system may hold up, on threads of its own.
//!
//! Such a call blocks, for half a minute if a name server is silent, and cannot be told to stop. So each has a thread, of
//! which there are a few at most; whoever asked may go away meanwhile. When the library goes, [`all_ended_until`] tells
//! whether one is still under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Threads at one time. A game needs one; a program that opens connection after connection to a name whose server is
/// silent must not pile them up.
const MOST: usize = 16;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// As many are under way as there may be.
    TooMany,
    /// No thread, or it died.
    Failed,
}

/// Does work on another thread, and tells what came of it there.
pub(crate) fn run<T: 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
    tell: impl FnOnce(Result<T, NoAnswer>) + Send + 'static,
) {
    let answer = Answer { tell: Some(tell), none: std::marker::PhantomData };
    if RUNNING.fetch_add(1, Ordering::AcqRel) >= MOST {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        answer.give(Err(NoAnswer::TooMany));
        return;
    }
    let running = Running;
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        answer.give(Ok(work()));
        drop(running);
    });
    if let Err(error) = spawned {
        tracing::warn!("no thread for {name}: {error}");
    }
}

/// Does work on another thread, and waits for what comes of it.
pub(crate) async fn wait_for<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (tell, told) = oneshot::channel();
    run(name, work, move |answer| {
        // Whoever waited may have gone.
        let _ = tell.send(answer);
    });
    told.await.unwrap_or(Err(NoAnswer::Failed))
}

/// Whoever asked gets an answer, also if the thread dies.
struct Answer<T, F: FnOnce(Result<T, NoAnswer>)> {
    tell: Option<F>,
    none: std::marker::PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T, NoAnswer>)> Answer<T, F> {
    fn give(mut self, answer: Result<T, NoAnswer>) {
        if let Some(tell) = self.tell.take() {
            tell(answer);
        }
    }
}

impl<T, F: FnOnce(Result<T, NoAnswer>)> Drop for Answer<T, F> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Err(NoAnswer::Failed));
        }
    }
}

/// Counts a thread for as long as it runs our code.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until nothing is under way; false if something still is at that time.
pub(crate) fn all_ended_until(until: Instant) -> bool {
    while RUNNING.load(Ordering::Acquire) > 0 {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_that_dies_is_an_answer_too() {
        let (tell, told) = mpsc::channel();
        run(
            "ferry-test",
            || -> u8 { panic!("on purpose") },
            move |answer| tell.send(answer).expect("somebody waits"),
        );
        assert_eq!(told.recv(), Ok(Err(NoAnswer::Failed)));
    }

    #[tokio::test]
    async fn work_is_waited_for_also_if_it_dies() {
        assert_eq!(wait_for("ferry-test", || 7).await, Ok(7));
        assert_eq!(wait_for("ferry-test", || -> u8 { panic!("on purpose") }).await, Err(NoAnswer::Failed));
    }
}
