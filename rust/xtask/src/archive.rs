//! The engine's official release, for machines whose packages do not carry it.
//!
//! `godot` asks for it when all else has failed. The archive and the release's own list of checksums come with curl; what
//! does not match is not unpacked. Everything happens in a folder beside its place, which is moved in whole. The caller
//! holds the lock.
//!
//! This branch could not be run where it was written: only the choice of the archive and the reading of checksums are
//! tested (below), and the unpacking with an archive of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::run::{Step, answer, exists};

/// The release that Ferry is tested with.
const RELEASE: &str = "4.6.3-stable";

/// Where the engine's makers publish their releases.
const DOWNLOADS: &str = "https://github.com/godotengine/godot/releases/download";

/// The list of the release's checksums, beside its archives.
const CHECKSUMS: &str = "SHA512-SUMS.txt";

/// 70 to 170 MB, over a slow line.
const DOWNLOAD_BOUND: Duration = Duration::from_secs(30 * 60);

/// Hexadecimal digits of a SHA-512.
const DIGITS: usize = 128;

/// Has the release unpacked in `home` and returns its program.
pub(crate) fn bring(home: &Path) -> Result<PathBuf, String> {
    let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let (archive, program) =
        asset(os, machine).ok_or_else(|| format!("there is none for {os} on {machine}"))?;
    let place = home.join("release");
    let program = place.join(program);
    if program.is_file() {
        return Ok(program);
    }
    let work = home.join("release.unfinished");
    let outcome = fetch(&work, &archive).and_then(|unpacked| {
        let _ = fs::remove_dir_all(&place);
        fs::rename(unpacked, &place).map_err(|error| format!("{}: {error}", place.display()))
    });
    let _ = fs::remove_dir_all(&work);
    outcome?;
    if !program.is_file() {
        return Err(format!("{archive} does not hold the program that it should"));
    }
    make_executable(&program)?;
    Ok(program)
}

/// The archive's name, and the engine's program in it.
fn asset(os: &str, machine: &str) -> Option<(String, String)> {
    let (archive, program) = match (os, machine) {
        ("linux", "x86_64") => ("linux.x86_64", "linux.x86_64"),
        ("linux", "aarch64") => ("linux.arm64", "linux.arm64"),
        ("linux", "x86") => ("linux.x86_32", "linux.x86_32"),
        ("linux", "arm") => ("linux.arm32", "linux.arm32"),
        // The programs that write to a console; the others write nowhere.
        ("windows", "x86_64") => ("win64.exe", "win64_console.exe"),
        ("windows", "x86") => ("win32.exe", "win32_console.exe"),
        ("windows", "aarch64") => ("windows_arm64.exe", "windows_arm64_console.exe"),
        ("macos", _) => {
            return Some((
                format!("Godot_v{RELEASE}_macos.universal.zip"),
                "Godot.app/Contents/MacOS/Godot".to_owned(),
            ));
        }
        _ => return None,
    };
    Some((format!("Godot_v{RELEASE}_{archive}.zip"), format!("Godot_v{RELEASE}_{program}")))
}

fn fetch(work: &Path, archive: &str) -> Result<PathBuf, String> {
    let _ = fs::remove_dir_all(work);
    let unpacked = work.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", work.display()))?;
    if !exists("curl") {
        return Err("needs curl".to_owned());
    }
    for file in [CHECKSUMS, archive] {
        let mut command = Command::new("curl");
        command.args([
            "--fail",
            "--silent",
            "--show-error",
            "--location",
            "--proto",
            "=https",
            "--retry",
            "2",
        ]);
        command.args(["--connect-timeout", "20", "--output"]).arg(work.join(file));
        command.arg(format!("{DOWNLOADS}/{RELEASE}/{file}"));
        Step::new(format!("{file} of Godot {RELEASE}"), command).within(DOWNLOAD_BOUND).run()?;
    }
    let list = fs::read_to_string(work.join(CHECKSUMS)).map_err(|error| format!("{CHECKSUMS}: {error}"))?;
    let expected = listed(&list, archive).ok_or_else(|| format!("{CHECKSUMS} does not list {archive}"))?;
    let file = work.join(archive);
    if sha512(&file)? != expected {
        return Err(format!("{archive} has another checksum than {CHECKSUMS} says; it was thrown away"));
    }
    unpack(&file, &unpacked)?;
    Ok(unpacked)
}

/// The checksum of `file` in a list of lines `checksum  name`.
fn listed(list: &str, file: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (sum, name) = line.trim().split_once(char::is_whitespace)?;
        let named = name.trim_start().trim_start_matches('*') == file;
        (named && sum.len() == DIGITS).then(|| sum.to_lowercase())
    })
}

/// By whichever of the usual programs is here.
fn sha512(file: &Path) -> Result<String, String> {
    let mut programs = [Command::new("sha512sum"), Command::new("shasum"), Command::new("certutil")];
    programs[0].arg(file);
    programs[1].args(["-a", "512"]).arg(file);
    programs[2].arg("-hashfile").arg(file).arg("SHA512");
    programs
        .iter_mut()
        .filter_map(|command| answer(command).ok())
        .find_map(|said| checksum_in(&said))
        .ok_or_else(|| "needs sha512sum, shasum or certutil to check what was downloaded".to_owned())
}

/// The first word, or line of words in pairs of digits, that is a SHA-512.
fn checksum_in(said: &str) -> Option<String> {
    let is_sum =
        |text: &str| text.len() == DIGITS && text.chars().all(|character| character.is_ascii_hexdigit());
    let words = said.split_whitespace().map(|word| word.trim_start_matches('\\').to_owned());
    let lines = said.lines().map(|line| line.replace(' ', ""));
    words.chain(lines).map(|text| text.trim().to_lowercase()).find(|text| is_sum(text))
}

/// macOS has `ditto`, Windows a `tar` that reads zip archives.
fn unpack(archive: &Path, folder: &Path) -> Result<(), String> {
    let mut ways =
        [Command::new("ditto"), Command::new("unzip"), Command::new("tar"), Command::new("python3")];
    ways[0].args(["-x", "-k"]).arg(archive).arg(folder);
    ways[1].arg("-q").arg(archive).arg("-d").arg(folder);
    ways[2].arg("-xf").arg(archive).arg("-C").arg(folder);
    ways[3].args(["-m", "zipfile", "-e"]).arg(archive).arg(folder);
    let mut tried = Vec::new();
    for way in &mut ways {
        match answer(way) {
            Ok(_) => return Ok(()),
            Err(reason) => tried.push(reason),
        }
    }
    Err(format!("nothing here unpacks a zip archive; tried {}", tried.join("; ")))
}

#[cfg(unix)]
fn make_executable(program: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", program.display()))
}

#[cfg(not(unix))]
fn make_executable(_program: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_its_archive() {
        let (archive, program) = asset("linux", "x86_64").expect("there is one");
        assert_eq!(archive, "Godot_v4.6.3-stable_linux.x86_64.zip");
        assert_eq!(program, "Godot_v4.6.3-stable_linux.x86_64");
        let (archive, program) = asset("windows", "x86_64").expect("there is one");
        assert_eq!(archive, "Godot_v4.6.3-stable_win64.exe.zip");
        assert_eq!(program, "Godot_v4.6.3-stable_win64_console.exe");
        assert!(asset("macos", "aarch64").is_some());
        assert!(asset("haiku", "x86_64").is_none());
    }

    #[test]
    fn an_archive_is_checked_and_unpacked_by_what_is_here() {
        let folder = std::env::temp_dir().join(format!("ferry-archive-{}", std::process::id()));
        fs::create_dir_all(folder.join("out")).expect("a folder to try in");
        let mut archive = crate::zip::Archive::default();
        archive.add("Godot.app/program", b"abc").expect("it fits");
        let file = folder.join("a.zip");
        fs::write(&file, archive.finish().expect("it fits")).expect("the archive");
        unpack(&file, &folder.join("out")).expect("it is unpacked");
        let program = folder.join("out/Godot.app/program");
        assert_eq!(fs::read(&program).expect("it is there"), b"abc");
        // The specification's example.
        let sum = sha512(&program).expect("a program that makes checksums");
        assert!(sum.starts_with("ddaf35a193617aba") && sum.ends_with("a54ca49f"), "{sum}");
        fs::remove_dir_all(&folder).expect("the folder goes");
    }

    #[test]
    fn a_checksum_is_found_under_its_own_name_only() {
        let (one, two) = ("a".repeat(DIGITS), "B".repeat(DIGITS));
        let list = format!("{one}  x.zip.sig\n{two} *x.zip\n");
        assert_eq!(listed(&list, "x.zip"), Some("b".repeat(DIGITS)));
        assert_eq!(listed(&list, "zip"), None);
        assert_eq!(listed("abc  x.zip", "x.zip"), None);
    }

    #[test]
    fn checksums_are_read_from_what_any_of_the_programs_says() {
        let sum = "0f".repeat(DIGITS / 2);
        assert_eq!(checksum_in(&format!("{sum}  a file.zip\n")), Some(sum.clone()));
        assert_eq!(
            checksum_in(&format!("SHA512 hash of x:\r\n{sum}\r\nCertUtil: done\r\n")),
            Some(sum.clone())
        );
        let pairs = "0F ".repeat(DIGITS / 2);
        assert_eq!(checksum_in(&format!("SHA512 hash of x:\n{pairs}\n")), Some(sum));
        assert_eq!(checksum_in("no file\n"), None);
    }
}
