//! `hark completions SHELL`

use clap_complete::Shell;

use super::FINISHED;
use crate::args::{self, Completions};
use crate::failure::Failure;
use crate::output;

/// The command that lists the ids of sessions, newest first.
const IDS: &str = "sessions --quiet --limit 100 2>/dev/null";

/// Prints a completion script for a shell.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(wanted: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    let mut definition = args::definition();
    clap_complete::generate(wanted.shell, &mut definition, "hark", &mut script);
    let script = String::from_utf8_lossy(&script);
    let commands = commands_on_sessions(&definition);
    output::write_raw(&match wanted.shell {
        Shell::Bash => with_sessions_in_bash(&script, &commands),
        Shell::Zsh => with_sessions_in_zsh(&script),
        Shell::Fish => with_sessions_in_fish(&script, &commands),
        _ => script.into_owned(),
    })?;
    Ok(FINISHED)
}

/// The commands that take a session's id.
fn commands_on_sessions(definition: &clap::Command) -> Vec<&str> {
    let takes_id = |command: &&clap::Command| command.get_positionals().any(|argument| argument.get_id() == "id");
    definition.get_subcommands().filter(takes_id).map(clap::Command::get_name).collect()
}

/// Wraps the generated function in one that adds the ids. `$1` is the command's own name, `$2` the word being
/// completed, `$3` the word before it.
fn with_sessions_in_bash(script: &str, commands: &[&str]) -> String {
    let commands = commands.join("|");
    let function = format!(
        "_hark_and_sessions() {{
    _hark \"$@\"
    case \"${{COMP_WORDS[1]}} $3\" in
        *\" --data-dir\" | *\" --config\" | *\" --storage\" | *\" -s\" | *\" --concurrency\" | *\" -c\") return ;;
    esac
    case \"${{COMP_WORDS[1]}}\" in
        {commands})
            [[ \"$2\" == -* ]] || COMPREPLY+=($(compgen -W \"$(\"$1\" {IDS})\" -- \"$2\"))
            ;;
    esac
}}
"
    );
    format!("{function}{}", script.replace("complete -F _hark ", "complete -F _hark_and_sessions "))
}

/// In zsh, the description of a positional argument ends with the name of its completer.
fn with_sessions_in_zsh(script: &str) -> String {
    let mut out = String::with_capacity(script.len() + 256);
    for (index, line) in script.lines().enumerate() {
        let is_id = line.starts_with("'::id -- ") || line.starts_with("':id -- ");
        match line.strip_suffix(":_default' \\").filter(|_| is_id) {
            Some(described) => out.push_str(&format!("{described}:_hark_sessions' \\\n")),
            None => out.push_str(&format!("{line}\n")),
        }
        // After `#compdef hark`.
        if index == 0 {
            let ids = format!("ids=(${{(f)\"$(hark {IDS})\"}})");
            out.push_str(&format!("\n_hark_sessions() {{\n    local -a ids\n    {ids}\n    compadd -a ids\n}}\n"));
        }
    }
    out
}

fn with_sessions_in_fish(script: &str, commands: &[&str]) -> String {
    let of_command = |command: &&str| {
        format!("complete -c hark -n \"__fish_hark_using_subcommand {command}\" -f -a \"(hark {IDS})\"\n")
    };
    format!("{script}{}", commands.iter().map(of_command).collect::<String>())
}
