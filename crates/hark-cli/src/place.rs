//! Writes commands so that they find a project and its sessions from the current folder: suggested commands work where
//! they are printed.

use std::path::{Path, PathBuf};

use hark_backends::storage::sqlite::FILE_NAME;

use crate::modules::from_current_folder;
use crate::project::{self, Project};

/// The place of a project and its sessions, relative to the current folder.
#[derive(Debug, Clone)]
pub struct Place {
    /// The prefix of a command: empty, or `cd FOLDER && `.
    before: String,
    /// The options to append.
    behind: String,
    /// The file with the sessions, for messages.
    file: String,
}

impl Place {
    /// The place of a project. Its sessions are in `data_dir` if the command line gives one.
    pub fn of(project: &Project, data_dir: Option<&Path>) -> Place {
        let (mut before, mut behind) = (String::new(), String::new());
        if let Some(config) = &project.config {
            behind.push_str(&format!(" --config {}", quoted(&from_current_folder(config))));
        } else if project::folder_here().is_none_or(|here| here != project.folder) {
            before.push_str(&format!("cd {} && ", quoted(&from_current_folder(&project.folder))));
        }
        let named = data_dir.map(|named| std::path::absolute(named).unwrap_or_else(|_| named.to_path_buf()));
        if let Some(named) = &named {
            let shown = if before.is_empty() { from_current_folder(named) } else { named.clone() };
            behind.push_str(&format!(" --data-dir {}", quoted(&shown)));
        }
        let folder: PathBuf = named.unwrap_or_else(|| project.folder.join(&project.settings.data_dir));
        Place { before, behind, file: from_current_folder(&folder.join(FILE_NAME)).display().to_string() }
    }

    /// The command line for this command here, such as `resume ID`.
    pub fn command(&self, words: &str) -> String {
        format!("{}hark {words}{}", self.before, self.behind)
    }

    /// The file with the sessions.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "_./-+@%:,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted(Path::new("tea/a-b_c.d")), "tea/a-b_c.d");
        assert_eq!(quoted(Path::new("my tea")), "'my tea'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(Path::new("$HOME")), "'$HOME'");
    }
}
