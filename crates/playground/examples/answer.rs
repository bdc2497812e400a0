//! Answers the requests on its standard input, one a line, as the pages' module does: the tests compare the two.

use std::io::{BufRead, Write};

use downhill_playground::Engine;

fn main() -> std::io::Result<()> {
    let mut engine = Engine::default();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(output, "{}", engine.call(line?.as_bytes(), &[]).text())?;
    }
    Ok(())
}
