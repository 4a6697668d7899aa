use std::process::Command;

use super::program::Place;

/// The commands in the help, except `help`.
fn commands(place: &Place) -> Vec<String> {
    let help = place.run(&["--help"]).out;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_values() {
    let place = Place::new();
    let script = place.run(&["completions", "bash"]);
    assert_eq!(script.code, Some(0), "{script:?}");
    std::fs::write(place.path("nextscale.bash"), &script.out).unwrap();
    let complete = |words: &str, at: usize| -> Vec<String> {
        let asked = format!(
            "source nextscale.bash; COMP_WORDS=({words}); COMP_CWORD={at}; \
             _nextscale nextscale \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{at} - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        let output = bash.args(["-c", &asked]).current_dir(place.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let all = complete("nextscale ''", 1);
    for command in commands(&place) {
        assert!(all.contains(&command), "{command} is not in {all:?}");
    }
    assert_eq!(complete("nextscale gen", 1), ["generate"]);
    assert_eq!(complete("nextscale generate --dt", 2), ["--dtype"]);
    assert_eq!(complete("nextscale train tok", 2), ["tokenizer"]);
}

#[test]
fn every_shell_has_a_script_and_another_is_a_mistake_of_usage() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(commands(&place).iter().all(|command| ran.out.contains(command.as_str())), "{shell}");
    }
    let ran = place.run(&["completions", "tcsh"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("possible values: bash"), "{ran:?}");
}

#[test]
fn every_command_has_a_man_page() {
    let place = Place::new();
    let ran = place.run(&["man", "--out", "man/man1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut expected: Vec<String> =
        commands(&place).iter().map(|command| format!("man/man1/nextscale-{command}.1")).collect();
    expected.extend(["man/man1/nextscale.1".to_owned(), "man/man1/nextscale-probe-fit.1".to_owned()]);
    expected.sort();
    assert_eq!(place.files(), expected);
    assert_eq!(ran.out, format!("wrote {} pages to man/man1\n", expected.len()));
    let page = std::fs::read_to_string(place.path("man/man1/nextscale-ablate.1")).unwrap();
    assert!(page.contains(".TH nextscale-ablate 1"), "{page}");
    assert!(page.contains("\\-\\-quick"), "{page}");

    std::fs::write(place.path("file"), "").unwrap();
    let ran = place.run(&["man", "--out", "file"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("cannot write file"), "{ran:?}");
}
