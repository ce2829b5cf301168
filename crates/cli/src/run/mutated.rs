//! The recipes that ship, mutated thousands of times: each is refused or understood, and none panics.

#[path = "../../../formats/tests/mutate/mod.rs"]
mod mutate;

use mutate::each;
use std::path::Path;
use t5kit_recipe::Recipe;

use super::check;
use crate::commandline::program;

#[test]
fn no_mutation_of_a_recipe_panics() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let files = std::fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<Vec<u8>> = files
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(files.len() > 4);
    let (folder, program) = (mutate::folder(), program());
    let path = folder.path().join("recipe.toml");
    let mut read = 0;
    each("recipe", &files, 3000, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let sets = if read % 2 == 0 { vec![] } else { vec!["finetune.epochs=3".to_owned()] };
        let Ok(recipe) = Recipe::read(&path, &sets, &program) else { return false };
        let stages = recipe.stages(&program);
        let _ = recipe.check_files();
        // Command lines take their time to be understood.
        if read % 16 == 0 {
            let _ = check(&recipe, &stages);
        }
        read += 1;
        true
    });
}
