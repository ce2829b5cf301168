//! What reports say, whole pages of HTML.

mod en;
mod zh;

pub(super) use en::TEXTS as EN;
pub(super) use zh::TEXTS as ZH;

texts! {
    Pages,
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
    /// Of a run that was stopped: {step} of {steps}.
    run_stopped,
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
}
