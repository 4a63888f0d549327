//! `hark completions SHELL`

use clap_complete::Shell;

use super::FINISHED;
use crate::args::{self, Completions};
use crate::failure::Failure;
use crate::output;

/// Arguments that the shell completes by asking `hark` for them.
struct Listed {
    /// The name of the positional argument.
    argument: &'static str,
    /// The command that lists them, newest first.
    command: &'static str,
    /// The name of the function that asks, in zsh.
    function: &'static str,
}

// They are asked for where the command line says: among the sessions of an instance, if it has `--deployed`.

/// The ids of sessions.
const SESSIONS: Listed =
    Listed { argument: "id", command: "sessions --quiet --limit 100 2>/dev/null", function: "_hark_sessions" };

/// The ids of promises that are waited for.
const PROMISES: Listed =
    Listed { argument: "future", command: "promises --quiet 2>/dev/null", function: "_hark_promises" };

/// Prints a completion script for a shell.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(wanted: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    let mut definition = args::definition();
    clap_complete::generate(wanted.shell, &mut definition, "hark", &mut script);
    let script = String::from_utf8_lossy(&script);
    output::write_raw(&match wanted.shell {
        Shell::Bash => with_ids_in_bash(&script, &definition),
        Shell::Zsh => with_ids_in_zsh(&script),
        Shell::Fish => with_ids_in_fish(&script, &definition),
        _ => script.into_owned(),
    })?;
    Ok(FINISHED)
}

impl Listed {
    /// The commands with such an argument.
    fn commands<'a>(&self, definition: &'a clap::Command) -> Vec<&'a str> {
        let takes = |command: &&clap::Command| {
            command.get_positionals().next().is_some_and(|argument| argument.get_id() == self.argument)
        };
        definition.get_subcommands().filter(takes).map(clap::Command::get_name).collect()
    }
}

/// Wraps the generated function in one that adds the ids. `$1` is the command's own name, `$2` the word being
/// completed, `$3` the word before it. The value behind the id of a promise is not completed.
fn with_ids_in_bash(script: &str, definition: &clap::Command) -> String {
    let (sessions, promises) = (SESSIONS.commands(definition).join("|"), PROMISES.commands(definition).join("|"));
    let (of_sessions, of_promises) = (SESSIONS.command, PROMISES.command);
    let function = format!(
        "_hark_and_ids() {{
    _hark \"$@\"
    local where=
    [[ \" ${{COMP_WORDS[*]}} \" != *\" --deployed \"* ]] || where=--deployed
    case \"${{COMP_WORDS[1]}} $3\" in
        *\" --data-dir\" | *\" --config\" | *\" --storage\" | *\" -s\" | *\" --uuid\" | *\" --concurrency\" | *\" -c\") return ;;
    esac
    case \"${{COMP_WORDS[1]}}\" in
        {sessions})
            [[ \"$2\" == -* ]] || COMPREPLY+=($(compgen -W \"$(\"$1\" {of_sessions} $where)\" -- \"$2\"))
            ;;
        {promises})
            [[ \"$2\" == -* || \"$3\" != \"${{COMP_WORDS[1]}}\" ]] ||
                COMPREPLY+=($(compgen -W \"$(\"$1\" {of_promises} $where)\" -- \"$2\"))
            ;;
    esac
}}
"
    );
    format!("{function}{}", script.replace("complete -F _hark ", "complete -F _hark_and_ids "))
}

/// In zsh, the description of a positional argument ends with the name of its completer.
fn with_ids_in_zsh(script: &str) -> String {
    let listed = [SESSIONS, PROMISES];
    let completer = |line: &str| {
        let is_of = |listed: &&Listed| {
            [format!("'::{} -- ", listed.argument), format!("':{} -- ", listed.argument)]
                .iter()
                .any(|begin| line.starts_with(begin))
        };
        listed.iter().find(is_of).map(|listed| listed.function)
    };
    let mut out = String::with_capacity(script.len() + 512);
    for (index, line) in script.lines().enumerate() {
        match (line.strip_suffix(":_default' \\"), completer(line)) {
            (Some(described), Some(function)) => out.push_str(&format!("{described}:{function}' \\\n")),
            _ => out.push_str(&format!("{line}\n")),
        }
        // After `#compdef hark`.
        if index == 0 {
            for Listed { command, function, .. } in &listed {
                let ids = format!("ids=(${{(f)\"$(hark {command} ${{words[(r)--deployed]}})\"}})");
                out.push_str(&format!("\n{function}() {{\n    local -a ids\n    {ids}\n    compadd -a ids\n}}\n"));
            }
        }
    }
    out
}

fn with_ids_in_fish(script: &str, definition: &clap::Command) -> String {
    let mut out = script.to_owned();
    for listed in [SESSIONS, PROMISES] {
        for command in listed.commands(definition) {
            let condition = format!("__fish_hark_using_subcommand {command}");
            let ids = format!("hark {} (string match -- --deployed (commandline -opc))", listed.command);
            out.push_str(&format!("complete -c hark -n \"{condition}\" -f -a \"({ids})\"\n"));
        }
    }
    out
}
