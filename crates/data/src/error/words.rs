//! Parts of sentences that messages are made of.

/// Lists names in backquotes; a long list is cut.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut list: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        list.push(format!("and {} more", names.len() - SHOWN));
    }
    list.join(", ")
}

pub(super) fn on(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" on line {line}"))
}

/// Shows what a cell holds, if it holds anything.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (`{text}`)") }
}

pub(super) fn closing(line: u64, closed: u64) -> String {
    if line == closed { String::new() } else { format!(" on line {closed}") }
}

pub(super) fn not_text(byte: u8) -> String {
    match byte {
        0 => "holds a NUL byte, as binary files and UTF-16 do".into(),
        _ => format!("is not UTF-8 (the byte {byte:#04x} can't be there)"),
    }
}
