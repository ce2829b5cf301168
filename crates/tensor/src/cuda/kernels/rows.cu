// Rows by number: copied, taken from a weight, and added to.

// Row to_rows[i] of `to` becomes `cols` columns of row from_rows[i] of `from`, from its first on. Without a list row i.
// Grid: [pieces of a row, at most 65,535 of the rows, which others follow].
KERNEL copy_rows(
    float* to, u32 to_stride, const u32* to_rows, const float* from, u32 from_stride, const u32* from_rows, u32 rows,
    u32 cols
) {
    for (u32 i = blockIdx.y; i < rows; i += gridDim.y) {
        float* y = to + (u64)(to_rows ? to_rows[i] : i) * to_stride;
        const float* x = from + (u64)(from_rows ? from_rows[i] : i) * from_stride;
        for (u32 c = (u32)here(); c < cols; c += (u32)everyone()) y[c] = x[c];
    }
}

// The same into bf16; `to_stride` counts numbers of it.
KERNEL narrow_rows(
    u16* to, u32 to_stride, const u32* to_rows, const float* from, u32 from_stride, const u32* from_rows, u32 rows, u32 cols
) {
    for (u32 i = blockIdx.y; i < rows; i += gridDim.y) {
        u16* y = to + (u64)(to_rows ? to_rows[i] : i) * to_stride;
        const float* x = from + (u64)(from_rows ? from_rows[i] : i) * from_stride;
        for (u32 c = (u32)here(); c < cols; c += (u32)everyone()) y[c] = f32_to_bf16(x[c]);
    }
}

// y[i] = (add ? y[i] : 0) + factor · row ids[i] of a weight. y: [rows, cols].
KERNEL embed(
    float* y, u32 add, float factor, const u32* ids, const void* weight, const float* scales, u32 type, u32 rows, u32 cols
) {
    for (u32 i = blockIdx.y; i < rows; i += gridDim.y) {
        u64 id = ids[i];
        for (u32 c = (u32)here(); c < cols; c += (u32)everyone()) {
            float old = add ? y[(u64)i * cols + c] : 0.0f;
            y[(u64)i * cols + c] = old + factor * stored(weight, scales, type, id, c, cols);
        }
    }
}

// Row rows[i] of y += the rows sources[starts[i]..starts[i + 1]] of x, in that order: no row is named twice, so that
// nothing has to be added atomically.
KERNEL add_to_rows(
    float* y, const u32* rows, const u32* starts, const u32* sources, const float* x, u32 count, u32 cols
) {
    for (u32 i = blockIdx.y; i < count; i += gridDim.y) {
        for (u32 c = (u32)here(); c < cols; c += (u32)everyone()) {
            float* to = y + (u64)rows[i] * cols + c;
            float sum = *to;
            for (u32 s = starts[i]; s < starts[i + 1]; s++) sum += x[(u64)sources[s] * cols + c];
            *to = sum;
        }
    }
}
