// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting, and telling the service manager about it: one timer on the boot clock, one
//! pipe for signals, and a sign of life after each turn of the loop that got to its end.
//! There is no thread behind it, so a loop that hangs gives no sign.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tracing::debug;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The time has come.
    Time,
    /// SIGTERM, SIGINT or SIGHUP.
    Stop,
}

/// A timer on the boot clock and the signals that end the program.
#[derive(Debug)]
pub struct Waiter {
    timer: OwnedFd,
    signals: PipeReader,
}

impl Waiter {
    /// Takes over the three signals: from here on they end a wait, not the process.
    ///
    /// # Errors
    /// When the kernel gives no timer, pipe or handler.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        let (signals, writer) = io::pipe()?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self { timer, signals })
    }

    /// Sleeps until the boot clock shows `until_boot_ns` or a signal comes. A signal that
    /// came before is not lost. A suspend counts as sleep.
    ///
    /// # Errors
    /// When the kernel refuses to poll.
    pub fn wait(&self, until_boot_ns: u64) -> io::Result<Wake> {
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once_at(until_boot_ns))?;
        loop {
            let mut fds = [
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(&self.timer, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            return Ok(if fds[0].revents().is_empty() { Wake::Time } else { Wake::Stop });
        }
    }
}

/// Zero would disarm the timer, so the earliest time is 1 ns.
fn once_at(boot_ns: u64) -> Itimerspec {
    let boot_ns = i64::try_from(boot_ns.max(1)).unwrap_or(i64::MAX);
    Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: boot_ns / 1_000_000_000, tv_nsec: boot_ns % 1_000_000_000 },
    }
}

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    watchdog: Option<Duration>,
}

impl Manager {
    /// As the environment tells.
    #[must_use]
    pub fn from_env() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// The longest wait that still gives signs of life in time: half of what is asked for.
    #[must_use]
    pub fn longest_wait_ns(&self) -> u64 {
        let half = self.watchdog.map(|watchdog| (watchdog / 2).as_nanos());
        half.and_then(|half| u64::try_from(half).ok()).unwrap_or(u64::MAX)
    }

    /// Startup is over.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// A turn of the loop came to its end.
    pub fn alive(&self, status: &str) {
        let states = [NotifyState::Status(status), NotifyState::Watchdog];
        self.tell(if self.watchdog.is_some() { &states } else { &states[..1] });
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            debug!("failed to tell the service manager: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::boot_ns;

    /// One test, because handlers are the whole process's.
    #[test]
    fn a_wait_ends_with_its_time_or_with_a_signal_even_one_that_came_before() {
        let waiter = Waiter::new().expect("timer and pipe");
        let start = boot_ns();
        assert_eq!(waiter.wait(start + 20_000_000).expect("polled"), Wake::Time);
        assert!(boot_ns() >= start + 20_000_000, "not before its time");
        assert_eq!(waiter.wait(0).expect("polled"), Wake::Time, "a time in the past");
        signal_hook::low_level::raise(SIGHUP).expect("raised");
        assert_eq!(waiter.wait(u64::MAX).expect("polled"), Wake::Stop);
    }
}
