//! What is said of a recipe: its report, its stages, its dry run.

mod en;
mod zh;

pub(super) use en::TEXTS as EN;
pub(super) use zh::TEXTS as ZH;

texts! {
    Recipes,
    // A recipe's report, and what is said while it runs.
    /// Title of a recipe's report: {name}.
    recipe_title,
    /// Heading.
    recipe_stages,
    /// Column.
    recipe_stage,
    /// Column.
    recipe_result,
    /// Column.
    recipe_time,
    /// Column.
    recipe_memory,
    /// {kept} of {all} pieces.
    recipe_kept,
    /// Behind it: {share} of the counted tokens.
    recipe_coverage,
    /// Behind it: bytes {after} of {before}.
    recipe_weights,
    /// {n} steps.
    recipe_steps,
    /// {n} examples.
    recipe_examples,
    /// {parameters}, {bytes}.
    recipe_model,
    /// Column.
    recipe_part,
    /// The third part, beside training and validation.
    recipe_part_test,
    /// Column: characters of a source on average.
    recipe_source_characters,
    /// Column: characters of a target on average.
    recipe_target_characters,
    /// Heading.
    recipe_evaluation,
    /// Column.
    recipe_model_column,
    /// Column.
    recipe_samples,
    /// Column.
    recipe_tokens,
    /// Column: relative to the first model.
    recipe_speed,
    /// Under the table: {n} examples.
    recipe_table_says,
    /// Card.
    recipe_sources_generated,
    /// Card.
    recipe_all_stages,
    /// Card: the most in any stage.
    recipe_the_most,
    /// Heading.
    recipe_training,
    /// {rate} tokens/s, {time}.
    recipe_training_says,
    /// Link to the run's page.
    recipe_whole_page,
    /// {files}, {seed}.
    recipe_split_says,
    /// Warning: {n} sources.
    recipe_repeated,
    /// Heading of the first training examples.
    recipe_first,
    /// Above the commands of the stages.
    recipe_by_hand,
    /// {stage} was interrupted; {command} goes on.
    recipe_stopped,
    /// {page} is written.
    recipe_done,
    /// Of a stage.
    stage_done,
    /// Of a stage.
    stage_goes_on,
    /// Of a stage whose inputs have changed.
    stage_again,
    /// Of a stage whose output is not there.
    stage_gone,

    // The stages of a recipe.
    /// A stage.
    stage_model,
    /// A stage.
    stage_count,
    /// A stage.
    stage_trim,
    /// A stage.
    stage_data,
    /// A stage.
    stage_pretrain,
    /// A stage.
    stage_finetune,
    /// A stage.
    stage_evaluate,
    /// A stage.
    stage_export,

    // A recipe's dry run.
    /// Of a stage.
    dry_done,
    /// Of a stage.
    dry_new,
    /// Of a stage.
    dry_gone,
    /// Of a stage: {why}.
    dry_again,
    /// Of a stage: {why}.
    dry_refused,
    /// {changes}.
    dry_made_with,
    /// Why a stage is made again.
    dry_before_changes,
    /// {file}.
    change_content,
    /// {flag}, {file}.
    change_file_gone,
    /// {flag}, {file}.
    change_file_new,
    /// {name}, {old}, {new}.
    change_value,
    /// {name}, {old}.
    change_value_gone,
    /// {name}, {new}.
    change_value_new,
    /// Stands for the value of a flag that has none.
    change_set,
    /// {time}, {bytes}.
    dry_took,
    /// {parts}.
    dry_in_all,
    /// {time}.
    dry_all_time,
    /// {bytes}.
    dry_all_disk,
    /// {bytes}.
    dry_free,
    /// {bytes}, {note}.
    dry_disk,
    /// {note}.
    dry_before_others,
    /// {note}.
    dry_before_trim,
    /// {n}.
    dry_train_rows,
    /// {n}.
    dry_valid_rows,
    /// {n}.
    dry_test_rows,
    /// {rows}, {source}, {target}, {by}.
    dry_data,
    /// {n}.
    dry_a_character,
    /// {time}, {steps}, {examples}, {rate}, {by}.
    dry_training,
    /// {by}.
    dry_by_log,
    /// {by}: {rate}, {threads}.
    dry_by_measured,
    /// {time}, {times}, {each}.
    dry_validation,
    /// {kept}, {batch}, {note}.
    dry_training_memory,
    /// {time}, {sources}, {models}, {by}.
    dry_generating,
    /// {models}.
    dry_one_model,
    /// {models}: {n}.
    dry_models,
    /// {weights}, {work}, {note}.
    dry_generating_memory,
    /// Where the model or the data are not there yet.
    dry_unknown,
}
