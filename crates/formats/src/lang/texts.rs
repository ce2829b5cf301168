//! Which texts there are: what each is for, and its places.

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The texts of a language.
        pub struct Texts {
            $($(#[$doc])* pub $name: &'static str,)*
        }

        impl Texts {
            /// All of them by name.
            pub fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

texts! {
    // Pages in common.
    /// Title of the figure that repeats a report.
    to_repeat,
    /// Label of the slider that smooths curves.
    smoothing,
    /// Heading of a box of warnings.
    warnings,

    // evaluation.html.
    /// Title of an evaluation: {data}.
    evaluation_title,
    /// Under it: {models}, {n}, {date}.
    evaluation_subtitle,
    /// A column's head.
    evaluation_model,
    /// A column's head.
    samples_a_second,
    /// A column's head.
    new_tokens_a_second,
    /// A column's head.
    relative_speed,
    /// A column's head.
    peak_memory,
    /// Under the table: {samples}.
    interval_note,
    /// Also: {sources}, {batch}, {rounds}.
    speed_note,
    /// Also, where it holds.
    pieces_differ_note,
    /// Heading of the figures' signatures.
    signatures,
    /// Heading.
    sentence_scores,
    /// Axis of the histogram.
    how_many_texts,
    /// Heading.
    texts_beside_each_other,
    /// Label of a choice.
    score_shown,
    /// Label of a choice.
    sorted_by,
    /// A choice.
    worst_first,
    /// A choice.
    best_first,
    /// A choice.
    as_they_came,
    /// A choice.
    largest_difference_first,
    /// Placeholder of the search.
    search_texts,
    /// Label of a choice.
    which_texts,
    /// A choice.
    all_texts,
    /// A choice.
    wrong_texts,
    /// A choice.
    right_texts,
    /// A choice.
    empty_texts,
    /// Label of a text.
    source_text,
    /// Label of a text.
    reference_text,
    /// Stands for a text that is empty.
    empty_text,
    /// Button: {n}.
    show_more,
    /// How many: {n}, {all}.
    texts_shown,
    /// What colours mean.
    difference_note,

    // report.html of a run.
    /// Title: {run}.
    run_title,
    /// {run}.
    pretraining_title,
    /// Under the title: {model}, {data}, {date}.
    run_subtitle,
    /// Also under it: {steps}, {parameters}, {program}.
    run_sizes,
    /// While a run goes on: {step} of {steps}.
    run_going_on,
    /// Of the best checkpoint: {step}.
    best_at,
    /// Mark of the best step.
    best,
    /// A loss.
    loss,
    /// The loss of validation.
    validation_loss,
    /// The loss of training.
    training_loss,
    /// Where the training loss is from.
    at_the_end,
    /// Tokens without padding.
    real_tokens,
    /// {tokens} in {steps} steps.
    tokens_in_steps,
    /// Time of the steps.
    of_training_steps,
    /// What is left out of the time.
    validation_not_counted,
    /// Memory.
    of_memory,
    /// When the memory was measured.
    the_most_after_a_step,
    /// Axis of steps.
    step,
    /// The series of training.
    training,
    /// The series of validation.
    validation,
    /// Chart of a mixture.
    loss_by_task,
    /// Chart of a mixture.
    valid_loss_by_task,
    /// Chart of metrics.
    metrics_of_targets,
    /// Chart.
    learning_rate,
    /// Chart.
    gradient_norm,
    /// Its series.
    norm,
    /// Chart.
    tokens_per_second,
    /// Heading of outputs.
    outputs,
    /// Whose outputs they are, of the best checkpoint on {part} examples.
    outputs_of_best,
    /// Of the last step's model.
    outputs_of_last,
    /// {part}.
    part_training,
    /// {part}.
    part_validation,
    /// Column.
    source,
    /// Column.
    reference,
    /// Column.
    output,
    /// Column.
    target,
    /// Heading.
    data,
    /// Row.
    examples,
    /// Row.
    tokens_with_end,
    /// Row.
    mean_source,
    /// Row.
    mean_target,
    /// Row.
    longest_source,
    /// Row.
    longest_target,
    /// Row.
    sources_cut,
    /// Row.
    targets_cut,
    /// Row.
    bad_rows,
    /// Histogram.
    tokens_of_a_source,
    /// Histogram.
    tokens_of_a_target,
    /// Heading.
    settings,
    /// Warning: {share} of the {what} are cut at {length} tokens.
    many_cut,
    /// Warning: {share} of the tokens are bytes or unknown.
    many_bytes,
    /// Warning: only {n} examples.
    few_examples,
    /// Warning: no validation.
    no_validation,
    /// Word for sources in a warning.
    sources,
    /// Word for targets in a warning.
    targets,

    // compare.html.
    /// Title.
    compare_title,
    /// Heading of the table of runs.
    runs,
    /// Column.
    run,
    /// Column.
    best_step,
    /// Heading of settings that differ.
    differences,

    // trim_report.html.
    /// Title.
    trim_title,
    /// Card.
    pieces,
    /// Card.
    parameters,
    /// Card.
    of_weights,
    /// {share} % of {before}.
    share_of,
    /// Card.
    tokens_covered,
    /// {n} counted.
    of_counted,
    /// Heading.
    coverage,
    /// Axis.
    most_frequent_pieces,
    /// {n} pieces kept: {share}.
    pieces_kept,
    /// Heading.
    sizes,
    /// Column.
    before,
    /// Column.
    after,
    /// Row.
    rows_of_matrices,
    /// Row.
    of_vocabulary_matrices,
    /// Row.
    of_everything_else,
    /// Row.
    bytes_of_weights,
    /// Row.
    bytes_as_f32,
    /// Row.
    bytes_of_spiece,
    /// {indispensable}, {chosen}, {required}.
    kept_why,
    /// Heading.
    held_out,
    /// {file}, {texts}, {bytes}, {changed}, {elsewhere}.
    held_out_says,
    /// Row.
    tokens,
    /// Row.
    characters_as_bytes,
    /// Row.
    byte_tokens,
    /// Row.
    unknown_tokens,
    /// Column.
    segmented_before,
    /// Column.
    segmented_after,
    /// Heading.
    left_out,
    /// Heading.
    required,
    /// Column.
    set_or_file,
    /// Column.
    without_piece,
    /// Nothing.
    none,
    /// and {n} more.
    and_more,
    /// {lines}, {bytes}, {tokens}, {distinct}, {bad}.
    counted,
    /// Warning: {share} of the counted tokens.
    low_coverage,

    // The demo.
    /// Step 1.
    demo_data,
    /// {train}, {valid}, {test}.
    demo_pairs,
    /// Step 2.
    demo_vocabulary,
    /// {pieces}, {kept}, {parameters}, {left}.
    demo_cut,
    /// Step 3.
    demo_before,
    /// Step 4.
    demo_training,
    /// Step 5.
    demo_after,
    /// Row of the table.
    before_training,
    /// Row of the table.
    after_training,
    /// Label.
    sentence,
    /// Label.
    headline,
    /// {seconds}.
    demo_took,
    /// {folder}.
    demo_folder,
    /// {page}.
    demo_page,
    /// Invitation.
    demo_try,
    /// What comes next.
    demo_next,

    // Tables, as they were understood.
    /// Column of prompts: {name}.
    is_prompt,
    /// Column of sources: {name}.
    is_source,
    /// Column of targets: {name}.
    is_target,
    /// A column without a name: {n}.
    nameless_column,
    /// {answer}.
    header_is,
    /// Answer.
    yes,
    /// Answer.
    no,
    /// {name}.
    encoding_is,
    /// {name}.
    sheet_is,
    /// Between two things of a list.
    comma,
    /// {name}.
    is_column,
    /// A text a line.
    lines,
    /// {encoding}.
    read_as,
    /// Standard input.
    standard_input,

    // Texts for a model.
    /// {what}, {text}, {pieces}.
    first_example,
    /// {part}.
    of_part,
    /// {n}, {what}, {part}, {cut}, {length}, {p95}, {p99}.
    lengths_that_fit,
    /// Instead of {length} there: {n}, {pair}, {other}.
    or_with_the_other,
    /// {cut} there.
    cut_none,
    /// {cut} there: {n}, {share}.
    cut_some,
    /// One: {all}, {what}, {length}, {part}.
    one_was_cut,
    /// Several: {n}, {all}, {what}, {length}, {part}.
    several_were_cut,
    /// Of `objective`, without a tokenizer.
    every_character_a_token,
    /// An objective that makes no example of a text: {why}.
    objective_left_out,
    /// {what}.
    one_misses_a_blank,
    /// {n}, {what}.
    several_miss_a_blank,
    /// The same of a vocabulary without blanks: {what}.
    one_has_no_blank,
    /// {n}, {what}.
    several_have_no_blank,
    /// Word for texts of which nothing is known.
    texts,
    /// One of them.
    text,
    /// One.
    one_bad_row,
    /// {n}.
    several_bad_rows,
    /// One.
    one_empty_row,
    /// {n}.
    several_empty_rows,
    /// One.
    one_surrogate,
    /// {n}.
    several_surrogates,
    /// {task}, {n}, {valid}, {share}.
    task_of_mixture,
    /// {n}, {all}.
    set_aside,
    /// The tokens' place.
    tokens_on_disk,
    /// {parameters}, {trained}, {data}, {steps}, {resumed}, {memory}.
    planned,
    /// {examples}, {tokens}.
    planned_examples,
    /// Of a stream.
    planned_stream,
    /// Examples that stand for a stream.
    first_of_stream,
    /// {n}.
    held_out_examples,
    /// {n}.
    documents_too_short,
    /// {n}.
    of_them_trained,
    /// {n}.
    of_them_done,
    /// {steps}, {time}, {rate}.
    time_left,
    /// The run came to its end early.
    ended_early,
    /// {steps}, {best}, {folder}, {page}.
    trained_model,
    /// {name}, {value}, {step}.
    best_was,
    /// {step}.
    stopped_and_saved,

    // How a trained model is used.
    /// {file}, {values}.
    taken_from,
    /// {name}.
    of_column,
    /// {column}.
    prompt_missing,
    /// What a checkpoint as it was published does.
    looks_untuned,
    /// Of --stream.
    punctuation_as_it_came,
    /// Of --constrain: {count}.
    constrained_unfinished,
    /// {count}.
    constrained_fewer,
    /// {count}, {labels}.
    labels_of_references,

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

    // Long work, on a terminal and in lines.
    /// A stage of work.
    work_counting,
    /// A stage of work.
    work_cutting,
    /// A stage of work.
    work_converting,
    /// A stage of work.
    work_reading,
    /// A stage of work.
    work_training,
    /// A stage of work.
    work_validating,
    /// A stage of work.
    work_generating,
    /// A stage of work.
    work_measuring,
    /// A stage of work.
    work_scoring,
    /// A stage of work.
    work_looking_for_changes,
    /// A stage of work: {file}.
    work_fetching,
    /// What work is counted in.
    unit_lines,
    /// What work is counted in.
    unit_rows,
    /// What work is counted in.
    unit_steps,
    /// What work is counted in.
    unit_texts,
    /// What work is counted in.
    unit_pairs,
    /// What work is counted in.
    unit_examples,
    /// What work is counted in.
    unit_targets,
    /// What work is counted in.
    unit_headlines,
    /// What work is counted in.
    unit_rounds,
    /// What is counted.
    unit_documents,
    /// {stage}, {done}; nobody knows of how much.
    work_at,
    /// {stage}, {done}, {all}, {percent}.
    work_at_of,
    /// {stage}, {done}, {time}.
    work_took,
    /// {stage}, {done}, {all}, {time}: it was stopped.
    work_took_of,
    /// {time}.
    work_left,
    /// {value}.
    loss_is,
    /// {rate}.
    rate_is,
    /// {value}.
    learning_rate_is,
    /// {step}, {epoch}, {found}, {best}.
    validated,
    /// {loss}, {metrics}.
    validation_found,
    /// Of a validation.
    is_best,
    /// {step}, {what}.
    skipped_step,
    /// {why}.
    left_out_row,
    /// Of many bad rows, the first were shown.
    more_bad_rows,

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
