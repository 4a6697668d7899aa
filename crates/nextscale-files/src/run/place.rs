//! Where a run is written until it is complete: beside its folder, or inside if the folder cannot be renamed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{MANIFEST, SHARDS};

/// The folder of an unfinished run inside its own folder.
const INSIDE: &str = ".partial";

/// A run's folder and its place until it is complete.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder.
    pub target: PathBuf,
    /// `TARGET.partial`, or `TARGET/.partial` if the folder is a mounted volume or its parent cannot be
    /// written.
    pub partial: PathBuf,
}

impl Place {
    /// For a target that may be a link to a folder, or end in `.` or `..`.
    pub fn of(target: &Path) -> io::Result<Self> {
        let beside = |target: &Path| {
            let name = target.file_name().unwrap_or_default().to_string_lossy();
            target.with_file_name(format!("{name}.partial"))
        };
        Self::named(target, beside, INSIDE)
    }

    /// With other names for what is unfinished: a path beside the target, and a name inside it.
    pub fn named(target: &Path, beside: impl FnOnce(&Path) -> PathBuf, inside: &str) -> io::Result<Self> {
        let target = resolved(target)?;
        let partial = match target.is_dir() && (is_mounted(&target) || !beside_is_writable(&target)) {
            true => target.join(inside),
            false => beside(&target),
        };
        Ok(Self { target, partial })
    }

    /// For a folder that holds the shards of its run: the run is written inside.
    pub fn inside(target: &Path) -> io::Result<Self> {
        let target = resolved(target)?;
        Ok(Self { partial: target.join(INSIDE), target })
    }

    /// Whether the folder holds anything besides shards and what is made from them.
    pub fn is_taken_beside_shards(&self) -> io::Result<bool> {
        let own = |name: &std::ffi::OsString| [SHARDS, INSIDE, "lost+found"].iter().any(|own| name == own);
        Ok(self.target.is_dir() && names(&self.target)?.iter().any(|name| !own(name)))
    }

    pub fn is_inside(&self) -> bool {
        self.partial.parent() == Some(&self.target)
    }

    /// Whether the folder holds anything other than an unfinished run of this layout.
    pub fn is_taken(&self) -> io::Result<bool> {
        if !self.target.is_dir() || (self.is_inside() && self.partial.is_dir()) {
            return Ok(false);
        }
        // Some new volumes are not empty.
        Ok(names(&self.target)?.iter().any(|name| name != "lost+found"))
    }

    /// Moves back what a killed process had already moved to the folder.
    pub fn take_back(&self) -> io::Result<()> {
        if !self.is_inside() {
            return Ok(());
        }
        for name in names(&self.target)? {
            let back = self.partial.join(&name);
            let own = Some(name.as_os_str()) == self.partial.file_name();
            if !own && name != SHARDS && name != "lost+found" && !back.exists() {
                fs::rename(self.target.join(&name), back)?;
            }
        }
        Ok(())
    }

    /// Moves the contents to the folder. The manifest, which makes the run complete, comes last.
    pub fn finish(&self) -> io::Result<()> {
        if !self.is_inside() {
            return fs::rename(&self.partial, &self.target);
        }
        let mut names = names(&self.partial)?;
        names.sort_by_key(|name| name == MANIFEST);
        for name in names {
            fs::rename(self.partial.join(&name), self.target.join(&name))?;
        }
        fs::remove_dir(&self.partial)
    }
}

fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// The folder that a link names, without `.` or `..` at the end; any other path is unchanged.
fn resolved(target: &Path) -> io::Result<PathBuf> {
    let plain: PathBuf = target.components().filter(|part| *part != Component::CurDir).collect();
    if plain.is_symlink() || plain.file_name().is_none() {
        let named = if plain.as_os_str().is_empty() { Path::new(".") } else { &plain };
        return named.canonicalize();
    }
    Ok(plain)
}

/// Whether a folder is a mount point, which a rename cannot replace.
fn is_mounted(folder: &Path) -> bool {
    // Mount points within one file system share a device number; the system's list has them.
    let Ok(folder) = folder.canonicalize() else { return false };
    let listed = fs::read_to_string("/proc/self/mountinfo").is_ok_and(|text| {
        let place = |line: &str| line.split(' ').nth(4).map(unescaped);
        text.lines().filter_map(place).any(|place| Path::new(&place) == folder)
    });
    listed || is_on_another_device(&folder)
}

/// A path in the system's notation, in which a space is `\\040`.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(unix)]
fn is_on_another_device(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    folder.parent().is_none_or(|parent| device(parent) != device(folder))
}

#[cfg(not(unix))]
fn is_on_another_device(folder: &Path) -> bool {
    folder.parent().is_none()
}

/// Whether a folder can be created beside this one.
fn beside_is_writable(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let trial = folder.with_file_name(format!(".{name}.trial"));
    let made = fs::create_dir(&trial).is_ok();
    if made {
        let _ = fs::remove_dir(&trial);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_folder_that_cannot_be_renamed_a_run_is_complete_last() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().to_owned();
        let place = Place { partial: target.join(INSIDE), target };
        fs::create_dir(place.target.join("lost+found")).unwrap();
        assert!(!place.is_taken().unwrap());
        fs::create_dir_all(place.partial.join("images")).unwrap();
        for name in [MANIFEST, "config.ron", "images/00000.png"] {
            fs::write(place.partial.join(name), "x").unwrap();
        }
        // Killed while it was finished.
        fs::rename(place.partial.join("images"), place.target.join("images")).unwrap();
        assert!(!place.is_taken().unwrap() && !place.target.join(MANIFEST).exists());
        place.take_back().unwrap();
        assert!(place.partial.join("images/00000.png").exists());
        place.finish().unwrap();
        assert!(place.target.join(MANIFEST).exists() && place.target.join("images/00000.png").exists());
        assert!(!place.partial.exists());
        assert!(place.is_taken().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn mount_points_are_known() {
        assert!(is_mounted(Path::new("/proc")));
        let root = tempfile::tempdir().unwrap();
        assert!(!is_mounted(&root.path().canonicalize().unwrap()));
        assert_eq!(unescaped("/a\\040b"), "/a b");
    }
}
