//! What is said on a terminal: the demo, tables as they were understood, what becomes of texts, long work.

mod en;
mod zh;

pub(super) use en::TEXTS as EN;
pub(super) use zh::TEXTS as ZH;

texts! {
    Terminal,
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

    // What a command has made.
    /// {place}.
    written,
    /// {page}.
    see_page,
    /// {folder}.
    trim_written,
    /// {recipe}.
    recipe_written,
    /// {n}, {page}.
    runs_compared,
    /// {folder}.
    manual_pages,
    /// {place}.
    nothing_to_resume,
    /// {n}.
    going_on_after_rows,
    /// Of a command without a file.
    reading_from_terminal,
    /// {new}, {file}, {rows}.
    new_tokens,
    /// Of `convert`.
    no_tokenizer,
    /// Of `bench`: {n}, {tokens}.
    own_sentences,
    /// {n}, {wanted}.
    sources_repeated,
    /// {why}.
    processor_instead,

    // A table in parts.
    /// {part}, {n}, {mean}, {p95}, {target_mean}, {target_p95}.
    split_part,
    /// {part}, {n}.
    split_repeated,
    /// {n}.
    split_left,

    // Pieces counted, and a vocabulary that is cut.
    /// {file}, {tokens}, {lines}, {distinct}, {pieces}.
    count_done,
    /// {rows}, {files}.
    count_left_out,
    /// {n}.
    count_cuts,
    /// {file}.
    count_unrecorded,
    /// {lines}.
    count_goes_on,
    /// {lines}.
    count_stopped,
    /// {lines}.
    count_stopped_pipe,
    /// {mb}, {seconds}, {rate}.
    count_speed,
    /// {kept}, {all}, {indispensable}, {chosen}, {required}, {rows}.
    trim_kept,
    /// {share}, {tokens}.
    trim_covers,
    /// {name}, {n}.
    trim_without_piece,
    /// {after}, {before}, {mb}, {mb_before}.
    trim_sizes,
    /// {changed}, {texts}, {after}, {before}, {bytes}, {bytes_before}.
    trim_held_out,

    // An evaluation's table.
    /// {n}.
    in_percent,
    /// After it.
    half_interval,
    /// After it.
    differs_from_first,
    /// {model}.
    from_interrupted,
    /// Of several models.
    pieces_differ,
    /// {n}, {all}.
    predictions_empty,
    /// {n}, {all}.
    references_empty,
    /// {n}, {all}.
    predictions_no_numbers,
    /// {n}, {all}.
    half_width_predictions,

    // Questions for a new recipe.
    /// A question.
    ask_table,
    /// A question.
    ask_source,
    /// A question.
    ask_target,
    /// A question.
    ask_model,
    /// A question.
    ask_effort,
    /// A question.
    ask_folder,
    /// {n}.
    found_examples,
    /// After it.
    found_labels,
    /// {bytes}.
    free_memory,
}
