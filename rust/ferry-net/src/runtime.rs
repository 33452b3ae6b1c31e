//! The one network thread of the process, which every endpoint's driver runs on.
//!
//! It starts with the first driver and ends some seconds after the last, so that a reconnect does not churn threads. Only
//! bytes are handled there; nothing in it knows of the engine. [`shut_down`] is for the moment before the library goes: it
//! asks all drivers to say goodbye, waits as long as it was told, and says whether every thread of ours has ended.
//!
//! One thread for all, because a driver's work is short and batched: a thousand players cost a quarter of it. Look-ups
//! of names, which the operating system may hold up for minutes, have threads of their own (`aside.rs`).

use std::future::Future;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use crate::aside;
use crate::crowd::Gathering;
use crate::lock::lock;

/// How long the thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);

/// What is known of the thread; there is one of it.
struct Network {
    thread: Option<Running>,
    /// A thread that has decided to end, and may be at it.
    leaving: Option<JoinHandle<()>>,
    drivers: usize,
    /// Counts the beginnings of drivers, for an idle thread to see that there was one.
    begun: u64,
    closed: bool,
}

struct Running {
    handle: Handle,
    join: JoinHandle<()>,
    stop: watch::Sender<Stop>,
}

/// What the drivers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    Drivers,
    Thread,
}

static NETWORK: Mutex<Network> =
    Mutex::new(Network { thread: None, leaving: None, drivers: 0, begun: 0, closed: false });

/// Rung when a driver has ended.
static DRIVER_ENDED: Condvar = Condvar::new();

fn network() -> MutexGuard<'static, Network> {
    lock(&NETWORK)
}

/// Tells a driver that the library is about to go.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<Stop>);

impl Stopping {
    /// Whether it is.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() != Stop::No
    }

    /// Waits until it is.
    pub(crate) async fn wait(&mut self) {
        // An error means that the thread itself is ending.
        let _ = self.0.wait_for(|stop| *stop != Stop::No).await;
    }
}

/// Why no driver could be started.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The library is going.
    ShutDown,
    /// The operating system gives us no thread.
    Thread(std::io::Error),
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ShutDown => formatter.write_str("the library is being unloaded"),
            Self::Thread(error) => write!(formatter, "no network thread: {error}"),
        }
    }
}

/// Runs a driver on the network thread.
pub(crate) fn spawn<F>(driver: impl FnOnce(Stopping) -> F) -> Result<(), SpawnError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut network = network();
    if network.closed {
        return Err(SpawnError::ShutDown);
    }
    if network.thread.is_none() {
        let running = start().map_err(SpawnError::Thread)?;
        network.thread = Some(running);
    }
    let running = network.thread.as_ref().expect("started above");
    let task = driver(Stopping(running.stop.subscribe()));
    let handle = running.handle.clone();
    network.drivers += 1;
    network.begun += 1;
    let guard = Counted;
    // Not under the lock: should the thread be gone, the guard is dropped here and takes it.
    drop(network);
    handle.spawn(async move {
        let _counted = guard;
        task.await;
    });
    Ok(())
}

/// Counts a driver, however it ends.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        network().drivers -= 1;
        DRIVER_ENDED.notify_all();
    }
}

fn start() -> std::io::Result<Running> {
    let gathering = Gathering::new();
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || gathering.pause())
        .build()?;
    let handle = runtime.handle().clone();
    let (stop, stopping) = watch::channel(Stop::No);
    let join = std::thread::Builder::new().name("ferry-net".to_owned()).spawn(move || {
        runtime.block_on(until_idle(stopping));
        runtime.shutdown_background();
    })?;
    Ok(Running { handle, join, stop })
}

/// Waits until something is due; for ever, if nothing is.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Ends when there was nothing to do for some time, or when told to.
async fn until_idle(mut stopping: watch::Receiver<Stop>) {
    let mut seen = network().begun;
    loop {
        let told = stopping.wait_for(|stop| *stop == Stop::Thread);
        if tokio::time::timeout(IDLE, told).await.is_ok() {
            return;
        }
        let mut network = network();
        if network.drivers == 0 && network.begun == seen {
            // Nobody can start a driver here from now on: the lock is ours until the thread counts as gone.
            network.leaving = network.thread.take().map(|running| running.join);
            return;
        }
        seen = network.begun;
    }
}

/// Asks every driver to end, waits for them and for all our threads, at most for `bound`. Nothing can be started
/// afterwards. Returns whether all threads have ended: if not, the library's code must stay in memory.
#[must_use]
pub fn shut_down(bound: Duration) -> bool {
    let until = Instant::now() + bound;
    let mut network = network();
    network.closed = true;
    if let Some(running) = &network.thread {
        running.stop.send_replace(Stop::Drivers);
    }
    while network.drivers > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        (network, _) = DRIVER_ENDED.wait_timeout(network, left).unwrap_or_else(PoisonError::into_inner);
    }
    if let Some(running) = &network.thread {
        running.stop.send_replace(Stop::Thread);
    }
    let threads = [network.thread.take().map(|running| running.join), network.leaving.take()];
    drop(network);
    let network_ended = threads.into_iter().flatten().all(|thread| ends_until(thread, until));
    network_ended && aside::all_ended_until(until)
}

/// Lets drivers be started again after [`shut_down`], for an engine that loads the library anew without unmapping it.
pub fn open() {
    network().closed = false;
}

fn ends_until(thread: JoinHandle<()>, until: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.join().is_ok()
}
