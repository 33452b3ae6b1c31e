//! `cargo xtask bench`: the engine's own classes and Ferry's, measured side by side on this machine.
//!
//! The same script runs on both, by turns, each run in processes of its own (`stage`) and with a project that has the library
//! of release and nothing else; the built-in classes run without Ferry in their process. `cases` says what is measured,
//! `record` keeps what each run told as a line of JSON, `summary` makes a table of them and `picture` the README's picture.
//! With `--from`, only the table and the picture are made, of runs that were kept.

mod cases;
mod picture;
mod record;
mod stage;
mod summary;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use self::cases::{Case, Transport};
use self::record::Record;
use self::stage::{Projects, Stage};
use crate::build::{Build, copy_beside_and_move};
use crate::project::{list_extension, mirror};
use crate::run::{answer, target_folder, workspace_root};
use crate::{Outcome, flat_json, godot};

/// A median of fewer says little.
const REPEATS: u64 = 3;

/// Kept in one file, more than this is none of ours.
const MOST_RECORD_BYTES: u64 = 64 << 20;

/// What a project needs to be one.
const PROJECT: &str = "config_version=5\n\n[application]\n\nconfig/name=\"Ferry's benchmark\"\nrun/flush_stdout_on_print=true\n";

struct Options {
    names: Vec<String>,
    transport: Option<Transport>,
    repeats: u64,
    records: PathBuf,
    from: Option<PathBuf>,
    markdown: Option<PathBuf>,
    picture: Option<PathBuf>,
    native: Option<PathBuf>,
    list: bool,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::read(arguments)?;
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| options.wants(case)).collect();
    if cases.is_empty() {
        return Err("no case is called so; `cargo xtask bench --list` names them".to_owned());
    }
    if options.list {
        for case in &cases {
            println!("{}", case.id());
        }
        return Ok(());
    }
    let records = match &options.from {
        Some(file) => read_records(file)?,
        None => measure(&cases, &options)?,
    };
    let rows = summary::rows(&cases, &records);
    print!("\n{}", summary::text(&rows));
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    if let Some(file) = &options.markdown {
        write(file, summary::markdown(&rows))?;
    }
    if let Some(file) = &options.picture {
        write(file, picture::draw(&rows)?)?;
    }
    let missed = rows.iter().filter(|row| row.holds() == Some(false)).count();
    let kept = rows.iter().filter(|row| row.holds() == Some(true)).count();
    println!("\n{kept} promises kept, {missed} missed");
    Ok(())
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            names: Vec::new(),
            transport: None,
            repeats: REPEATS,
            records: target_folder().join("bench/records.jsonl"),
            from: None,
            markdown: None,
            picture: None,
            native: None,
            list: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().cloned().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--transport" => options.transport = Some(transport_of(&value()?)?),
                "--repeats" => {
                    let text = value()?;
                    let repeats = text.parse().ok().filter(|repeats| (1..=99).contains(repeats));
                    options.repeats =
                        repeats.ok_or_else(|| format!("--repeats takes 1 to 99, not `{text}`"))?;
                }
                "--records" => options.records = value()?.into(),
                "--from" => options.from = Some(value()?.into()),
                "--markdown" => options.markdown = Some(value()?.into()),
                "--picture" => options.picture = Some(value()?.into()),
                "--webrtc-native" => options.native = Some(value()?.into()),
                "--list" => options.list = true,
                unknown if unknown.starts_with('-') => return Err(format!("unknown option `{unknown}`")),
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, case: &Case) -> bool {
        let id = case.id();
        let named = self.names.is_empty() || self.names.iter().any(|name| name == case.name || *name == id);
        named && self.transport.is_none_or(|transport| transport == case.transport)
    }
}

fn transport_of(name: &str) -> Result<Transport, String> {
    let known = Transport::ALL.into_iter().find(|transport| transport.name() == name);
    known.ok_or_else(|| format!("there is no transport `{name}`; there are enet, websocket and webrtc"))
}

/// Runs the cases, by turns, and keeps what they tell.
fn measure(cases: &[Case], options: &Options) -> Result<Vec<Record>, String> {
    if !cfg!(target_os = "linux") {
        return Err("the benchmark reads its clocks in /proc: it runs on Linux only".to_owned());
    }
    let library = Build { release: true, ..Build::default() }.library()?;
    let engine = godot::find()?;
    let version = engine.version.clone();
    let stage = Stage::new(engine, projects(&library, options.native.as_deref())?);
    let mut file = Kept::new(&options.records)?;
    let machine = machine();
    println!("{machine}, Godot {version}, {}", stage.network());
    file.keep(&format!(
        "{{\"machine\":{},\"engine\":{},\"network\":{}}}",
        flat_json::quote(&machine),
        flat_json::quote(&version),
        flat_json::quote(stage.network())
    ))?;
    let mut records = Vec::new();
    for repeat in 1..=options.repeats {
        for case in cases.iter().filter(|case| repeat == 1 || !case.once) {
            for (server, clients) in case.pairs() {
                if case.transport == Transport::WebRtc
                    && !server.starts_with("Ferry")
                    && options.native.is_none()
                {
                    // The engine has no WebRTC of its own.
                    continue;
                }
                eprintln!("==> {repeat}/{}: {}, {server} and {clients}", options.repeats, case.id());
                let figures = match stage.play(case, &server, &clients) {
                    Ok(figures) => Some(figures),
                    Err(reason) => {
                        eprintln!("    no figures: {reason}");
                        None
                    }
                };
                let record = Record { case: case.id(), server, clients, figures };
                file.keep(&record.to_line())?;
                records.push(record);
            }
        }
    }
    eprintln!("    the runs are kept in {}", options.records.display());
    Ok(records)
}

/// Lines of JSON, written as they come.
struct Kept {
    file: fs::File,
    place: PathBuf,
}

impl Kept {
    fn new(place: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", place.display());
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(Self { file: fs::File::create(place).map_err(failed)?, place: place.to_owned() })
    }

    fn keep(&mut self, line: &str) -> Outcome {
        writeln!(self.file, "{line}").map_err(|error| format!("{}: {error}", self.place.display()))
    }
}

fn read_records(file: &Path) -> Result<Vec<Record>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    if fs::metadata(file).map_err(failed)?.len() > MOST_RECORD_BYTES {
        return Err(format!("{}: is no file of ours, at this size", file.display()));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    Ok(text.lines().filter_map(Record::read).collect())
}

/// Makes the projects that the runs start on.
fn projects(library: &Path, native: Option<&Path>) -> Result<Projects, String> {
    let home = target_folder().join("bench");
    let plain = project(&home, "plain")?;
    let ferry = project(&home, "ferry")?;
    let addon = ferry.join("addons/ferry");
    copy_beside_and_move(
        &workspace_root().join("addons/ferry/ferry.gdextension"),
        &addon.join("ferry.gdextension"),
    )?;
    let platform = library.parent().and_then(Path::file_name).ok_or("the library lies nowhere")?;
    // The engine that is found is one with an editor: it asks for the library of debug builds.
    for name in ["libferry.so", "libferry.debug.so"] {
        copy_beside_and_move(library, &addon.join("bin").join(platform).join(name))?;
    }
    list_extension(&ferry, "res://addons/ferry/ferry.gdextension")?;
    let native = native.map(|folder| native_project(&home, folder)).transpose()?;
    Ok(Projects { ferry, plain, native })
}

fn project(home: &Path, name: &str) -> Result<PathBuf, String> {
    let folder = home.join(name);
    mirror(&workspace_root().join("godot_project/bench"), &folder.join("bench"))?;
    let file = folder.join("project.godot");
    fs::write(&file, PROJECT).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(folder)
}

/// A project with another plugin, whose folder has a manifest.
fn native_project(home: &Path, addon: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", addon.display());
    let mut entries =
        fs::read_dir(addon).map_err(failed)?.filter_map(Result::ok).map(|entry| entry.file_name());
    let manifest = entries.find(|name| name.to_string_lossy().ends_with(".gdextension"));
    let manifest = manifest.ok_or_else(|| format!("{}: holds no .gdextension", addon.display()))?;
    let folder = project(home, "native")?;
    mirror(addon, &folder.join("addons/native"))?;
    list_extension(&folder, &format!("res://addons/native/{}", manifest.to_string_lossy()))?;
    Ok(folder)
}

/// What the figures were measured on, in a few words.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, name)| name.trim());
    let kernel = answer(std::process::Command::new("uname").args(["-sr"])).unwrap_or_default();
    let buffers = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    format!("{cores} cores of {model}, {}, socket buffers of up to {} bytes", kernel.trim(), buffers.trim())
}
