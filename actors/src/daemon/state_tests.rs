//! The state directory: made, taken over, done without.

use super::leases;
use pluto_whack::pluto_options::PlutoOptions;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A folder with a run directory, which goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("pluto-state-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("run")).expect("a folder");
        Self(folder)
    }

    fn options(&self, statedir: Option<&str>) -> PlutoOptions {
        PlutoOptions {
            rundir: self.0.join("run"),
            statedir: statedir.map(|dir| self.0.join(dir)),
            ..PlutoOptions::default()
        }
    }

    fn write(&self, file: &str, text: &str, age: u64) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("written");
        let when = UNIX_EPOCH + Duration::from_secs(1_000_000_000 - age);
        fs::File::options().write(true).open(path).expect("there").set_modified(when).expect("set");
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.join(file)).ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn without_a_state_directory_leases_stay_in_a_rundir_of_ones_own() {
    let scratch = Scratch::new("own");
    let (path, warnings) = leases(&scratch.options(None));
    assert_eq!((path, warnings), (scratch.0.join("run/leases.json"), Vec::new()));
}

#[test]
fn the_state_directory_is_made_for_us_alone_and_nothing_is_left_in_it() {
    let scratch = Scratch::new("made");
    let (path, warnings) = leases(&scratch.options(Some("lib/ipsec")));
    assert_eq!((path, warnings), (scratch.0.join("lib/ipsec/leases.json"), Vec::new()));
    assert_eq!(mode(&scratch.0.join("lib/ipsec")), 0o700);
    assert_eq!(fs::read_dir(scratch.0.join("lib/ipsec")).expect("there").count(), 0);
}

#[test]
fn a_leases_file_of_the_rundir_is_taken_over() {
    let scratch = Scratch::new("moved");
    scratch.write("run/leases.json", "new", 0);
    scratch.write("lib/leases.json", "old", 60);
    let (path, warnings) = leases(&scratch.options(Some("lib")));
    assert_eq!((&path, warnings), (&scratch.0.join("lib/leases.json"), Vec::new()));
    assert_eq!(scratch.read("lib/leases.json").as_deref(), Some("new"));
    assert_eq!(scratch.read("run/leases.json"), None);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn an_older_leases_file_of_the_rundir_is_left_alone() {
    let scratch = Scratch::new("older");
    scratch.write("run/leases.json", "old", 60);
    scratch.write("lib/leases.json", "new", 0);
    assert!(leases(&scratch.options(Some("lib"))).1.is_empty());
    assert_eq!(scratch.read("lib/leases.json").as_deref(), Some("new"));
    assert_eq!(scratch.read("run/leases.json").as_deref(), Some("old"));
}

#[test]
fn a_state_directory_that_cannot_be_made_or_written_is_done_without_and_told() {
    let scratch = Scratch::new("refused");
    scratch.write("file", "", 0);
    // A folder in the way of the file stands for one that is not writable: root writes anywhere.
    fs::create_dir_all(scratch.0.join("full/leases.json.try")).expect("a folder");
    for dir in ["file/lib", "full"] {
        let (path, warnings) = leases(&scratch.options(Some(dir)));
        assert_eq!(path, scratch.0.join("run/leases.json"), "{dir}");
        let [warning] = warnings.as_slice() else { panic!("{dir}: {warnings:?}") };
        assert!(warning.contains(dir) && warning.contains("lost at a reboot"), "{warning}");
    }
}
