//! `cargo xtask ci`: everything that must pass before a change is merged.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};

use clap::ValueEnum;

use crate::workspace::{CORE, Workspace};
use crate::{Result, command, docs, embedded, english, figures, golden, heavy, mpi, playground, promises};

/// Runs what CI runs, cheapest first, and says how long each step took.
///
/// Steps that build in other folders than most run next to the others.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The steps to run; all by default.
    #[arg(value_enum)]
    steps: Vec<Step>,
    /// Steps to leave out.
    #[arg(long, value_enum, hide_possible_values = true)]
    skip: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// Every source is formatted.
    Fmt,
    /// Every fixture was written by its script as it stands.
    Golden,
    /// Every sentence that promises something is held by a test.
    Promises,
    /// No text has a phrase that the project writes in another way.
    English,
    /// No warning in any target, benchmarks included, and the lock file is up to date.
    Clippy,
    /// The tests and the documentation's examples, the guide's included.
    Test,
    /// The core crates' unit tests without default features.
    Light,
    /// No warning in any crate with none and with each one of its features.
    Features,
    /// The crates build with the oldest Rust that they say they do.
    Msrv,
    /// The public interface is the one that `docs/api` lists.
    Api,
    /// The derivatives of every layer, block and loss against finite differences.
    Gradcheck,
    /// Weights have the same bits on any number of threads, resumed or unbroken.
    Determinism,
    /// Killed training processes go on as if nothing had happened.
    Crash,
    /// Several processes train one network, with the bits of one, and end together.
    Mpi,
    /// A network learns to read handwritten digits.
    Digits,
    /// The examples that judge what they have learnt.
    Examples,
    /// The predictor without an operating system is what the code writes today, and answers as its network does.
    Embedded,
    /// The playground's crate, which is a workspace of its own.
    Engine,
    /// The playground's pages do in a browser what they promise.
    Playground,
    /// The guide's figures and tables are what the code makes today.
    Figures,
    /// The guide and the reference, with their equations and links.
    Docs,
    /// Start pages and a page of equations in a browser, wide and narrow, light and dark.
    Shots,
    /// Every crate can be published.
    Package,
}

/// Whether one of the steps has this name.
pub(crate) fn is_step(name: &str) -> bool {
    Step::from_str(name, false).is_ok()
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let chosen = |step: &&Step| {
        let is_named = arguments.steps.contains(step);
        (is_named || arguments.steps.is_empty()) && !arguments.skip.contains(step)
    };
    let steps: Vec<Step> = Step::value_variants().iter().filter(chosen).copied().collect();
    let (aside, own): (Vec<_>, Vec<_>) = steps.iter().partition(|step| steps.len() > ASIDE.len() && step.is_aside());
    let mut aside = Aside::new(&workspace, aside)?;
    let mut times = Vec::new();
    for step in own {
        let name = step.name();
        println!("\n== {name}");
        let start = Instant::now();
        step.run(&workspace).map_err(|error| format!("in the step {name}: {error}"))?;
        times.push((name, start.elapsed().as_secs_f64()));
        // The first steps use all processors, and find the most faults for their time.
        if step >= Step::Clippy {
            aside.start()?;
        }
    }
    aside.start()?;
    aside.end()?;
    println!();
    for (name, seconds) in times {
        println!("{name:<12}{seconds:7.1} s");
    }
    Ok(())
}

/// The steps that build in folders of their own, mostly one crate after another, or in the folder of release builds: they
/// run next to others, which they would leave a processor idle for.
const ASIDE: [Step; 7] =
    [Step::Msrv, Step::Api, Step::Digits, Step::Examples, Step::Embedded, Step::Engine, Step::Package];

/// Steps that another process does, whose output is shown when it has ended.
struct Aside {
    steps: Vec<Step>,
    output: std::path::PathBuf,
    child: Option<Child>,
}

impl Aside {
    fn new(workspace: &Workspace, steps: Vec<Step>) -> Result<Self> {
        fs::create_dir_all(&workspace.target)?;
        Ok(Self { steps, output: workspace.target.join("ci-aside.txt"), child: None })
    }

    /// Starts the steps, unless they run already or there are none.
    fn start(&mut self) -> Result {
        if self.child.is_none() && !self.steps.is_empty() {
            let output = fs::File::create(&self.output)?;
            let mut ci = Command::new(std::env::current_exe()?);
            ci.arg("ci").args(self.steps.iter().map(|step| step.name()));
            self.child = Some(ci.stdout(output.try_clone()?).stderr(output).spawn()?);
        }
        Ok(())
    }

    /// Waits for the steps, and shows what they have written.
    fn end(&mut self) -> Result {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let status = child.wait()?;
        print!("\n{}", fs::read_to_string(&self.output)?);
        if status.success() { Ok(()) } else { Err(format!("the steps that ran aside failed ({status})").into()) }
    }
}

impl Drop for Aside {
    /// After a fault elsewhere the run is over.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Step {
    /// The name that the command line has for it.
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_aside(self) -> bool {
        ASIDE.contains(&self)
    }

    fn run(self, workspace: &Workspace) -> Result {
        let cargo = |arguments: &str| {
            command::run(command::cargo().args(arguments.split_whitespace()).current_dir(&workspace.root))
        };
        let core = CORE.map(|name| format!("-p {name}")).join(" ");
        match self {
            Self::Fmt => cargo("fmt --all --check"),
            Self::Golden => golden::run(&golden::Arguments { check: true, name: None }),
            Self::Promises => promises::run(),
            Self::English => english::run(),
            Self::Clippy => cargo("clippy --workspace --all-targets --locked -- -D warnings"),
            Self::Test => cargo("test --workspace"),
            Self::Light => cargo(&format!("test --no-default-features --lib {core}")),
            Self::Features => {
                for package in &workspace.crates {
                    let alone = package.features.iter().map(String::as_str);
                    for feature in std::iter::once("").chain(alone) {
                        cargo(&format!(
                            "clippy --quiet -p {} --no-default-features --features={feature} -- -D warnings",
                            package.name
                        ))?;
                    }
                }
                Ok(())
            }
            Self::Msrv => msrv(workspace),
            Self::Api => heavy::run("api", &["--check".into()]),
            Self::Gradcheck => heavy::run("gradcheck", &[]),
            Self::Determinism => heavy::run("determinism", &["--interruptions".into(), "2".into()]),
            Self::Crash => heavy::run("crash", &["--kills".into(), "30".into()]),
            Self::Mpi => mpi::run(&mpi::Arguments { tests: true, kills: 6, ..mpi::Arguments::default() }),
            Self::Digits => cargo("run --release --quiet -p downhill --example digits"),
            Self::Examples => {
                for example in ["09_long_run -- --demonstrate", "10_tables", "11_policy", "12_sequences"] {
                    cargo(&format!("run --release --quiet -p downhill --example {example}"))?;
                }
                Ok(())
            }
            Self::Embedded => embedded::run(&embedded::Arguments::default()),
            Self::Engine => playground::check(workspace),
            Self::Playground => playground::run(&playground::Arguments::testing()),
            Self::Figures => figures::run(&figures::Arguments::checking()),
            Self::Docs => docs::run(&docs::Arguments::default()),
            // The Korean start page has the same name as the English one.
            Self::Shots => docs::run(&docs::Arguments::shots(&["introduction", "layers/gelu"])),
            Self::Package => package(workspace),
        }
    }
}

/// Builds every crate with the Rust of `rust-version`, which rustup installs if it can.
fn msrv(workspace: &Workspace) -> Result {
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let version = version.ok_or("Cargo.toml names no `rust-version`")?;
    let rustc = Command::new("rustup").args(["run", version, "rustc", "--version"]).stderr(Stdio::null()).output();
    if !rustc.is_ok_and(|output| output.status.success()) {
        let mut install = Command::new("rustup");
        install.args(["toolchain", "install", version, "--profile", "minimal", "--no-self-update"]);
        if let Err(error) = command::run(&mut install) {
            println!("Rust {version} can't be installed here, so only Clippy's `incompatible_msrv` checks it: {error}");
            return Ok(());
        }
    }
    let mut check = Command::new("rustup");
    check.args(["run", version, "cargo", "check", "--locked", "--all-features"]);
    check.args(workspace.crates.iter().flat_map(|package| ["--package", &package.name]));
    // The compiler shares nothing with the one that builds in the usual folder, and doesn't wait for it here.
    check.arg("--target-dir").arg(workspace.target.join("msrv"));
    command::run(check.current_dir(&workspace.root))
}

/// Packages every crate and builds it from its package.
///
/// Cargo unpacks the packages that others depend on into its home, in a folder named after the target directory, and
/// looks no further where that folder already holds a crate of this name and version: an earlier checkout at the same
/// path would be built in place of this one. So each run has its own target directory.
fn package(workspace: &Workspace) -> Result {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let target = workspace.target.join(format!("package-{now}"));
    let mut package = command::cargo();
    package.args(["package", "--quiet", "--target-dir"]).arg(&target).current_dir(&workspace.root);
    // Here a work in progress may be checked; what CI packages is what was committed.
    if std::env::var_os("CI").is_none() {
        package.arg("--allow-dirty");
    }
    command::run(&mut package)?;
    Ok(fs::remove_dir_all(target)?)
}
