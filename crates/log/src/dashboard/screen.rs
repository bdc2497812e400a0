//! The terminal, and the thread that draws on it and listens to its keys.

use std::io::{self, IsTerminal, stdout};
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use downhill_train::StopHandle;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use super::Warnings;
use super::state::State;
use super::view::draw;

/// The time between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// The time within which the end of the run is noticed.
const SLICE: Duration = Duration::from_millis(20);

/// Whether a dashboard has the terminal, which has one screen.
static HAS_TERMINAL: AtomicBool = AtomicBool::new(false);

/// What the run and the thread share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    is_over: AtomicBool,
}

/// A screen that is drawn until it is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal over, or says once on the standard error why there is none to take.
    pub(crate) fn open(state: State, stop: StopHandle, warnings: Warnings) -> Option<Self> {
        if !stdout().is_terminal() {
            say_once("the standard output is not a terminal");
            return None;
        }
        if HAS_TERMINAL.swap(true, Ordering::SeqCst) {
            say_once("another one is shown on this terminal");
            return None;
        }
        restore_on_panic();
        let opened = enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen));
        let opened = opened.and_then(|()| {
            let mut terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
            let shared = Arc::new(Shared { state: Mutex::new(state), is_over: AtomicBool::new(false) });
            let seen = Arc::clone(&shared);
            let show = move || show(&mut terminal, &seen, &stop, &warnings);
            let thread = thread::Builder::new().name("downhill dashboard".to_owned()).spawn(show)?;
            Ok(Self { shared, thread: Some(thread) })
        });
        opened
            .inspect_err(|error| {
                restore();
                say_once(&error.to_string());
            })
            .ok()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has left nothing to wait for.
            let _ = thread.join();
        }
        restore();
    }
}

/// What a panic has left is a state to show, as any other.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws and listens until the run is over, or the terminal was given back by a panic.
fn show(
    terminal: &mut Terminal<CrosstermBackend<io::Stdout>>,
    shared: &Shared,
    stop: &StopHandle,
    warnings: &Warnings,
) {
    let started = Instant::now();
    let is_shown = || !shared.is_over.load(Ordering::SeqCst) && HAS_TERMINAL.load(Ordering::SeqCst);
    while is_shown() {
        let now = started.elapsed();
        let state = {
            let mut state = lock(&shared.state);
            state.tick(now);
            state.is_stopping = stop.is_stopped();
            state.clone()
        };
        // A terminal that can't be written to does not end the run.
        let _ = terminal.draw(|frame| draw(frame, &state, &warnings.latest(), now));
        while is_shown() && started.elapsed() < now + FRAME {
            match event::poll(SLICE) {
                Ok(true) => {
                    if let Ok(Event::Key(key)) = event::read() {
                        press(key, stop);
                    }
                }
                Ok(false) => {}
                Err(_) => thread::sleep(SLICE),
            }
        }
    }
}

/// Stops the run on q or Ctrl-C, and the program on a second Ctrl-C.
fn press(key: KeyEvent, stop: &StopHandle) {
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if key.kind == KeyEventKind::Release || !(is_interrupt || key.code == KeyCode::Char('q')) {
        return;
    }
    if is_interrupt && stop.is_stopped() {
        restore();
        // As of a program that the signal ends.
        process::exit(130);
    }
    stop.stop();
}

/// Gives the terminal back, once.
fn restore() {
    if HAS_TERMINAL.swap(false, Ordering::SeqCst) {
        // Nothing is left to do where this fails.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// Gives the terminal back before a panic of any thread prints its message.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            print(info);
        }));
    });
}

fn say_once(reason: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| eprintln!("The dashboard is not shown: {reason}."));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_ctrl_c_ask_for_a_stop_and_other_keys_do_not() {
        let key = |code, modifiers| KeyEvent::new(KeyCode::Char(code), modifiers);
        let pulled = |key| {
            let stop = StopHandle::new();
            press(key, &stop);
            stop.is_stopped()
        };
        assert!(pulled(key('q', KeyModifiers::NONE)) && pulled(key('c', KeyModifiers::CONTROL)));
        assert!(!pulled(key('c', KeyModifiers::NONE)) && !pulled(key('x', KeyModifiers::CONTROL)));
        let released = KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
        assert!(!pulled(released));
    }
}
