//! `cargo xtask playground`: the pages of `docs/playground`, with the library compiled to WebAssembly.

mod test;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Server;
use crate::workspace::Workspace;
use crate::{Result, command};

const TARGET: &str = "wasm32-unknown-unknown";

/// The module's builds: a browser takes the second unless it has no SIMD.
const BUILDS: [(&str, &str); 2] = [("playground.wasm", ""), ("playground-simd.wasm", "-C\x1ftarget-feature=+simd128")];

/// The pages, each with its script.
const PAGES: [&str; 5] = ["index", "descent", "network", "chain", "digits"];

/// Builds the playground, and shows it or tries it in a browser.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Shows the pages at a port of localhost.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8080")]
    serve: Option<u16>,
    /// Tries the pages in headless Chromium, and stores screenshots of them.
    #[arg(long)]
    test: bool,
    /// Puts a screenshot of each page into the guide, in both languages; the README shows the English ones.
    #[arg(long, requires = "test")]
    keep: bool,
    /// Whether the crate's own checks have been made.
    #[arg(skip)]
    is_checked: bool,
}

impl Arguments {
    /// Tries the pages of a crate that was [checked](check).
    pub(crate) fn testing() -> Self {
        Self { test: true, is_checked: true, ..Self::default() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let site = build(&workspace)?;
    println!("{}", site.display());
    if arguments.test {
        if !arguments.is_checked {
            check(&workspace)?;
        }
        let shots = test::run(&workspace, &site)?;
        if arguments.keep {
            for page in &PAGES[1..] {
                for (language, guide) in [("en", "docs/guide/src"), ("ko", "docs/guide/ko/src")] {
                    let folder = workspace.root.join(guide).join("screenshots");
                    fs::create_dir_all(&folder)?;
                    let shot = shots.join(format!("playground-{page}-{language}.png"));
                    fs::copy(shot, folder.join(format!("playground-{page}.png")))?;
                }
            }
        }
    }
    if let Some(port) = arguments.serve {
        let server = Server::open(port, roots(&workspace, &site), "")?;
        println!("http://{}/playground/index.html (Ctrl-C ends it)", server.address());
        server.wait();
    }
    Ok(())
}

/// Checks the crate as CI checks the others.
pub(crate) fn check(workspace: &Workspace) -> Result {
    for arguments in ["fmt --check", "clippy --locked --all-targets -- --deny warnings", "test --locked --quiet"] {
        command::run(native(workspace).args(arguments.split_whitespace()))?;
    }
    Ok(())
}

/// Cargo for the crate on the machine itself.
fn native(workspace: &Workspace) -> Command {
    let mut cargo = command::cargo();
    let target = workspace.target.join("playground/native");
    cargo.current_dir(workspace.root.join("crates/playground")).env("CARGO_TARGET_DIR", target);
    cargo
}

/// The folders that are shown: the playground, and the guide that it links to, if that was built.
fn roots(workspace: &Workspace, site: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![("/playground/", site.to_owned()), ("/", workspace.root.join("docs/book"))]
}

/// Builds the module and puts it next to a copy of the pages; gives their folder.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("playground");
    let site = folder.join("site");
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::create_dir_all(&site)?;
    for entry in fs::read_dir(workspace.root.join("docs/playground"))? {
        let path = entry?.path();
        let copy = site.join(path.file_name().unwrap_or_default());
        if path.extension().is_some_and(|extension| extension == "js") {
            fs::write(copy, without_comments(&fs::read_to_string(&path)?))?;
        } else {
            fs::copy(&path, copy)?;
        }
    }
    let template = site.join("page.html");
    let page = fs::read_to_string(&template)?;
    fs::remove_file(template)?;
    for name in PAGES {
        fs::write(site.join(name).with_extension("html"), page.replace("PAGE", name))?;
    }
    let toolchain = Toolchain::find()?;
    for (name, flags) in BUILDS {
        // Each build has its folder, or each would undo the other.
        let target = folder.join(name.trim_end_matches(".wasm"));
        let mut cargo = command::cargo();
        cargo.args(["build", "--release", "--lib", "--locked", "--target", TARGET, "--target-dir"]).arg(&target);
        toolchain.prepare(&mut cargo);
        // An empty value takes away what the environment would add.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags).current_dir(workspace.root.join("crates/playground"));
        command::run(&mut cargo)?;
        let module = fs::read(target.join(TARGET).join("release/downhill_playground.wasm"))?;
        fs::write(site.join(name), without_names(&module).ok_or("the compiler wrote no module of WebAssembly")?)?;
    }
    Ok(site)
}

/// A script without the lines that hold nothing but a comment, a tenth of what is sent of it.
fn without_comments(script: &str) -> String {
    let is_comment = |line: &&str| ["//", "/*", "* ", "*/"].iter().any(|start| line.trim_start().starts_with(start));
    script.lines().filter(|line| !is_comment(line)).map(|line| format!("{line}\n")).collect()
}

/// A module without its custom sections: the names of functions are a quarter of it, and no page reads them.
fn without_names(module: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 8;
    let mut kept = module.get(..HEAD)?.to_vec();
    let mut rest = module.get(HEAD..)?;
    while let [kind, after @ ..] = rest {
        // The length in groups of seven bits, the lowest first; the last has no bit above them.
        let digits = after.iter().take_while(|digit| **digit >= 0x80).count() + 1;
        let groups = after.get(..digits.min(5))?.iter().rev();
        let length = groups.fold(0, |length, digit| (length << 7) | usize::from(digit & 0x7f));
        let (section, others) = rest.split_at_checked(1 + digits + length)?;
        if *kind != 0 {
            kept.extend_from_slice(section);
        }
        rest = others;
    }
    module.starts_with(b"\0asm").then_some(kept)
}

/// Whether the module can be built here.
pub(crate) fn can_build() -> bool {
    Toolchain::find().is_ok()
}

/// How this machine compiles to WebAssembly.
#[derive(Debug)]
enum Toolchain {
    /// The standard library for WebAssembly is installed.
    Installed,
    /// Its sources are, and so it is compiled as well.
    Sources {
        /// The folders that hold the toolchain's own linker.
        linkers: Vec<PathBuf>,
    },
}

impl Toolchain {
    fn find() -> Result<Self> {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let sysroot = command::output(rustc.args(["--print", "sysroot"]), "")?;
        let libraries = PathBuf::from(sysroot.trim()).join("lib/rustlib");
        if libraries.join(TARGET).join("lib").is_dir() {
            return Ok(Self::Installed);
        }
        if libraries.join("src/rust/library").is_dir() {
            let folders = fs::read_dir(&libraries)?.flatten().map(|entry| entry.path().join("bin"));
            return Ok(Self::Sources { linkers: folders.filter(|folder| folder.is_dir()).collect() });
        }
        Err(format!("the standard library for {TARGET} is not installed: `rustup target add {TARGET}` installs it")
            .into())
    }

    fn prepare(&self, cargo: &mut Command) {
        if let Self::Sources { linkers } = self {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = linkers.iter().cloned().chain(std::env::split_paths(&path));
            cargo.args(["-Z", "build-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1");
            if let Ok(path) = std::env::join_paths(folders) {
                cargo.env("PATH", path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_are_comments_are_left_out() {
        let script = "// a\n/** b\n * c\n */\n    // d\nlet a = 1; // e\nlet b = a\n    ** 2;\n/* f */\n";
        assert_eq!(without_comments(script), "let a = 1; // e\nlet b = a\n    ** 2;\n");
    }

    #[test]
    fn custom_sections_are_left_out() {
        let head = *b"\0asm\x01\0\0\0";
        let long = [&[7, 0x80 + 72, 1][..], &[9; 200]].concat();
        let module = [&head[..], &[0, 2, 1, 65], &long, &[0, 1, 0], &[1, 0]].concat();
        assert_eq!(without_names(&module), Some([&head[..], &long, &[1, 0]].concat()));
        assert_eq!(without_names(b"no module"), None);
        assert_eq!(without_names(&[&head[..], &[1, 9, 0]].concat()), None);
    }
}
