//! A server of files for this machine alone: pages that load modules can't be opened as files.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::Result;

/// Files below some addresses, each with the folder that has them.
pub(crate) type Roots = Vec<(&'static str, PathBuf)>;

/// Lines of a head by which a browser lets a page have threads that share its memory.
pub(crate) const ISOLATED: &str =
    "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n";

/// A server that answers until the program ends.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Begins to answer at a port of localhost, 0 for any that is free, with these lines in the head of each answer.
    pub(crate) fn open(port: u16, roots: Roots, lines: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| format!("port {port} of localhost can't be opened ({error}); name another one"))?;
        let address = listener.local_addr()?;
        let roots = Arc::new(roots);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let roots = Arc::clone(&roots);
                // A browser that has left asks for no answer.
                thread::spawn(move || drop(answer(&stream, &roots, lines)));
            }
        });
        Ok(Self { address, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(self) {
        drop(self.accepting.join());
    }
}

fn answer(stream: &TcpStream, roots: &Roots, added: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head is of no interest, but has to be read.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let file = file(&request, roots);
    let (status, kind, body) = match file.and_then(|file| Some((kind(&file), fs::read(file).ok()?))) {
        Some((kind, body)) => ("200 OK", kind, body),
        None => ("404 Not Found", "text/plain", b"There is no such page.".to_vec()),
    };
    let mut stream = stream;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n{added}\r\n"
    )?;
    stream.write_all(&body)
}

/// The file that a request's first line asks for, if it lies in one of the folders.
fn file(request: &str, roots: &Roots) -> Option<PathBuf> {
    let mut words = request.split(' ');
    let address = words.next().filter(|method| *method == "GET").and(words.next())?;
    let address = address.split(['?', '#']).next()?;
    let (rest, folder) = roots.iter().find_map(|(prefix, folder)| Some((address.strip_prefix(prefix)?, folder)))?;
    let rest = Path::new(rest);
    // No way up, and none that begins anew.
    let is_below = rest.components().all(|component| matches!(component, Component::Normal(_)));
    let file = folder.join(rest);
    let file = if file.is_dir() { file.join("index.html") } else { file };
    is_below.then_some(file)
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folders_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.js"), "1").unwrap();
        let roots = vec![("/playground/", folder.path().to_owned())];
        let found = |address: &str| file(&format!("GET {address} HTTP/1.1"), &roots);
        assert_eq!(found("/playground/a.js?x#y"), Some(folder.path().join("a.js")));
        assert_eq!(found("/playground/"), Some(folder.path().join("index.html")));
        assert_eq!(found("/playground/../secret"), None);
        assert_eq!(found("/playground//etc/passwd"), None);
        assert_eq!(found("/other/a.js"), None);
        assert_eq!(file("POST /playground/a.js HTTP/1.1", &roots), None);
        assert_eq!(file("", &roots), None);
    }

    #[test]
    fn it_answers_with_the_kind_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.js"), "let a;").unwrap();
        let server = Server::open(0, vec![("/", folder.path().to_owned())], ISOLATED).unwrap();
        let ask = |address: &str| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            write!(stream, "GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            std::io::read_to_string(stream).unwrap()
        };
        let answer = ask("/a.js");
        assert!(answer.contains("\r\n\r\nlet a;") && answer.contains("require-corp\r\n"), "{answer}");
        assert!(answer.contains("text/javascript") && answer.ends_with("let a;"), "{answer}");
        assert!(ask("/b.js").starts_with("HTTP/1.1 404"));
    }
}
