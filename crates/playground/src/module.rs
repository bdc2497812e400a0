//! What the WebAssembly module exports: the page writes a request, calls, and reads the reply.
//!
//! Names that a linker finds count as unsafe, since two functions could have the same. There are no others in the module,
//! and no pointer is followed here: the page reads and writes the module's memory by itself.
#![expect(unsafe_code, reason = "exported names")]

use std::cell::RefCell;

use crate::{Engine, Reply};

#[derive(Default)]
struct Module {
    engine: Engine,
    input: Vec<u8>,
    reply: Reply,
}

thread_local! {
    static MODULE: RefCell<Module> = RefCell::default();
}

/// Makes room for a request of this many bytes, and says where it is to be written.
#[unsafe(no_mangle)]
pub extern "C" fn playground_input(length: usize) -> *mut u8 {
    MODULE.with_borrow_mut(|module| {
        module.input.clear();
        module.input.resize(length, 0);
        module.input.as_mut_ptr()
    })
}

/// Answers the request, whose first `length` bytes are JSON and the others what goes with it.
#[unsafe(no_mangle)]
pub extern "C" fn playground_call(length: usize) {
    MODULE.with_borrow_mut(|Module { engine, input, reply }| {
        let (request, rest) = input.split_at(length.min(input.len()));
        *reply = engine.call(request, rest);
    });
}

/// The place at which the JSON of the reply begins.
#[unsafe(no_mangle)]
pub extern "C" fn playground_text() -> *const u8 {
    MODULE.with_borrow(|module| module.reply.text().as_ptr())
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn playground_text_length() -> usize {
    MODULE.with_borrow(|module| module.reply.text().len())
}

/// The place at which the bytes that go with the reply begin.
#[unsafe(no_mangle)]
pub extern "C" fn playground_bytes() -> *const u8 {
    MODULE.with_borrow(|module| module.reply.bytes().as_ptr())
}

/// How many they are.
#[unsafe(no_mangle)]
pub extern "C" fn playground_bytes_length() -> usize {
    MODULE.with_borrow(|module| module.reply.bytes().len())
}
