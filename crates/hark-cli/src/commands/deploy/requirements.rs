//! Reads requirements files, to decide whether installed packages are still up to date.

use std::fs;
use std::path::Path;

/// The options that name another requirements file, or a constraints file.
const FILE_OPTIONS: [&str; 4] = ["--requirement", "--constraint", "-r", "-c"];

/// The texts of a requirements file and of all files that it names. A file that cannot be read is skipped, because the
/// installing tool reports it.
pub fn texts(file: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut files = vec![file.to_path_buf()];
    let mut known = Vec::new();
    while let Some(file) = files.pop() {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        known.push(file);
        for named in text.lines().filter_map(named_file) {
            let named = folder.join(named);
            if !known.contains(&named) {
                files.push(named);
            }
        }
        found.push(text);
    }
    found
}

/// Whether all packages are given by name, which nearly always selects the same ones. The package at a path or address
/// may be another one tomorrow.
pub fn are_all_named(texts: &[String]) -> bool {
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with('#') && named_file(line).is_none());
    wanted.into_iter().all(|line| {
        let requirement = line.split(" #").next().unwrap_or(line);
        let requirement = requirement.split(';').next().unwrap_or(requirement);
        !requirement.contains(['/', '\\', '@'])
            && !requirement.starts_with(['-', '.'])
            && !requirement.trim().ends_with(".whl")
    })
}

/// The file that a line such as `-r base.txt` or `--constraint=c.txt` names.
fn named_file(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = FILE_OPTIONS.iter().find_map(|option| line.strip_prefix(option))?;
    Some(rest.trim_start_matches('=').trim()).filter(|file| !file.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_named_count_and_those_that_name_each_other_end() {
        let folder = std::env::temp_dir().join(format!("hark-requirements-{}", std::process::id()));
        fs::create_dir_all(folder.join("more")).unwrap();
        fs::write(folder.join("r.txt"), "six\n-r more/base.txt\n--constraint=c.txt\n").unwrap();
        fs::write(folder.join("more/base.txt"), "idna\n-r base.txt\n-c missing.txt\n").unwrap();
        fs::write(folder.join("c.txt"), "six<2\n").unwrap();
        let mut found = texts(&folder.join("r.txt"));
        found.sort();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("idna") && found[2] == "six<2\n", "{found:?}");
    }

    #[test]
    fn only_named_packages_are_the_same_tomorrow() {
        let named = |text: &str| are_all_named(&[text.to_owned()]);
        assert!(named(
            "six\n# -e .\nidna>=3,<4  # a comment / with a slash\nfoo[bar]==1; python_version < '3.9'\n-r other.txt\n"
        ));
        for changing in [
            "./lib",
            "-e .",
            "wheels/x-1-py3-none-any.whl",
            "x.whl",
            "foo @ https://example.com/foo.zip",
            "--find-links w",
        ] {
            assert!(!named(changing), "{changing}");
        }
    }
}
