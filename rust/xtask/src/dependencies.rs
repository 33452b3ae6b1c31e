//! The dependency rules of the workspace, in code.
//!
//! They are read off `cargo tree` and the manifests' text; each broken rule is one line that says which crate and what
//! to do. What is allowed below a protocol is a decision, so a new dependency of one changes this file too.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{answer, cargo, workspace_root};

/// The protocols, and all that a user of one compiles besides it: what it may depend on, and what that brings along.
const PROTOCOLS: [(&str, &[&str], &[&str]); 2] = [
    ("ferry-enet", &["bytes", "crc32fast"], &["cfg-if"]),
    ("ferry-sctp", &["bytes", "crc32c"], &["rustc_version", "semver"]),
];

/// Oracles for tests and rivals in benchmarks, of which the first has memory errors that a remote can reach; and the allocator
/// that counts for tests.
const NEVER_SHIPPED: [&str; 3] = ["rusty_enet", "sctp-proto", "counted-memory"];

/// Libraries that tests, fuzz targets and benchmarks are made of. Whoever else uses one gets what is never shipped too,
/// and is caught by that.
const FOR_TESTS_ONLY: [&str; 2] = ["counted-memory", "ferry-enet-testkit"];

/// Library roots that must not contain unsafe code.
const SAFE_LIBRARIES: [&str; 3] =
    ["rust/ferry-enet/src/lib.rs", "rust/ferry-sctp/src/lib.rs", "rust/ferry-net/src/lib.rs"];

/// Which of our crates each may use: dependencies point one way, and what is below knows nothing of what is above.
const LAYERS: [(&str, &[&str]); 5] = [
    ("ferry-enet", &[]),
    ("ferry-sctp", &[]),
    ("ferry-net", &["ferry-enet", "ferry-sctp"]),
    ("ferry-godot", &["ferry-net"]),
    ("xtask", &[]),
];

/// The one crate that knows the engine.
const KNOWS_GODOT: &str = "ferry-godot";

/// An extension of its own, which tests load beside Ferry's.
const OTHER_EXTENSION: &str = "ferry-rival";

/// Must build in seconds, on a machine that has fetched nothing.
const WITHOUT_DEPENDENCIES: &str = "xtask";

pub(crate) fn check() -> Outcome {
    eprintln!("==> dependency rules");
    let mut broken = Vec::new();
    protocols_stay_small(&mut broken)?;
    layers_point_one_way(&mut broken)?;
    one_crate_knows_godot(&mut broken)?;
    nothing_ships_what_is_for_tests(&mut broken)?;
    members_inherit_the_lints(&mut broken)?;
    libraries_are_safe(&mut broken);
    if broken.is_empty() { Ok(()) } else { Err(format!("\n  {}", broken.join("\n  "))) }
}

fn protocols_stay_small(broken: &mut Vec<String>) -> Outcome {
    for (protocol, allowed, brought) in PROTOCOLS {
        let tree = tree(&["--package", protocol, "--edges", "normal,build"])?;
        for name in tree.lines().filter_map(crate_name) {
            if name != protocol && !allowed.contains(&name) && !brought.contains(&name) {
                let allowed = allowed.join(" and ");
                broken.push(format!("{protocol} depends on {name}; it may use {allowed} only"));
            }
        }
    }
    Ok(())
}

fn layers_point_one_way(broken: &mut Vec<String>) -> Outcome {
    for (member, allowed) in LAYERS {
        let direct = tree(&["--package", member, "--depth", "1", "--edges", "normal,build"])?;
        let used = direct.lines().filter_map(crate_name).filter(|name| *name != member);
        for name in used {
            if member == WITHOUT_DEPENDENCIES {
                broken.push(format!("{member} depends on {name}; it uses the standard library only"));
            } else if is_ours(name) && !allowed.contains(&name) {
                broken.push(format!(
                    "{member} depends on {name}; dependencies go ferry-godot, ferry-net, ferry-enet or ferry-sctp"
                ));
            }
        }
    }
    Ok(())
}

/// Tests of the layers below must not need the engine either.
fn one_crate_knows_godot(broken: &mut Vec<String>) -> Outcome {
    let members = tree(&["--workspace", "--depth", "0"])?;
    let knows = |name: &&str| ![KNOWS_GODOT, OTHER_EXTENSION].contains(name);
    for member in members.lines().filter_map(crate_name).filter(knows) {
        let below = tree(&["--package", member, "--edges", "normal,build,dev"])?;
        if let Some(name) = below.lines().filter_map(crate_name).find(|name| is_gdext(name)) {
            broken.push(format!("{member} brings {name} along; only {KNOWS_GODOT} knows the engine"));
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    name == "xtask" || name.starts_with("ferry-")
}

fn is_gdext(name: &str) -> bool {
    name == "godot" || name.starts_with("godot-") || name.starts_with("gdext")
}

fn nothing_ships_what_is_for_tests(broken: &mut Vec<String>) -> Outcome {
    let members = tree(&["--workspace", "--depth", "0"])?;
    for member in members.lines().filter_map(crate_name).filter(|name| !FOR_TESTS_ONLY.contains(name)) {
        let below = tree(&["--package", member, "--edges", "normal,build"])?;
        if let Some(name) = below.lines().filter_map(crate_name).find(|name| NEVER_SHIPPED.contains(name)) {
            broken.push(format!("{member} brings {name} along; it may be below its dev-dependencies only"));
        }
    }
    Ok(())
}

fn members_inherit_the_lints(broken: &mut Vec<String>) -> Outcome {
    let members = tree(&["--workspace", "--depth", "0"])?;
    let mut seen = 0;
    for folder in members.lines().filter_map(crate_folder) {
        seen += 1;
        let manifest = folder.join("Cargo.toml");
        if !inherits_lints(&read(&manifest)?) {
            broken.push(format!("{} lacks `[lints] workspace = true`", manifest.display()));
        }
    }
    if seen == 0 { Err("cargo tree named no workspace member".to_owned()) } else { Ok(()) }
}

fn libraries_are_safe(broken: &mut Vec<String>) {
    for library in SAFE_LIBRARIES {
        let text = read(&workspace_root().join(library)).unwrap_or_default();
        if !text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
            broken.push(format!("{library} lacks `#![forbid(unsafe_code)]`"));
        }
    }
}

/// One line a crate, `name version (folder)`, for every platform rather than for this one.
fn tree(arguments: &[&str]) -> Result<String, String> {
    answer(cargo().args(["tree", "--prefix", "none", "--target", "all", "--format", "{p}"]).args(arguments))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn crate_name(line: &str) -> Option<&str> {
    line.split_whitespace().next()
}

/// The folder of a crate that lies on this disk: the last parenthesis of its line, which may hold other marks before.
fn crate_folder(line: &str) -> Option<PathBuf> {
    let (_, last) = line.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    Path::new(last).is_absolute().then(|| PathBuf::from(last))
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree_are_understood() {
        assert_eq!(crate_name("bytes v1.12.0"), Some("bytes"));
        assert_eq!(crate_name(""), None);
        assert_eq!(crate_folder("bytes v1.12.0"), None);
        assert_eq!(crate_folder("macros v0.1.0 (proc-macro)"), None);
        if cfg!(unix) {
            assert_eq!(crate_folder("macros v0.1.0 (proc-macro) (/a/b)"), Some(PathBuf::from("/a/b")));
        }
    }

    #[test]
    fn crates_are_told_by_their_names() {
        assert!(is_gdext("godot") && is_gdext("godot-core") && !is_gdext("ferry-godot"));
        assert!(is_ours("ferry-net") && is_ours("xtask") && !is_ours("ferryboat"));
    }

    #[test]
    fn lints_are_inherited_only_from_their_own_table() {
        assert!(inherits_lints("[package]\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nworkspace = true\n[lints]\n[features]\n"));
        assert!(!inherits_lints("[lints]\n[dependencies]\nworkspace = true\n"));
    }
}
