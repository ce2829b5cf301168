// Element by element: zeros, sums, multiples, dropout, activations, what is left of products, conversions, rotary positions.

KERNEL fill(float* y, float value, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) y[i] = value;
}

// y = factor · x; in place where they are the same.
KERNEL scale(float* y, const float* x, float factor, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) y[i] = factor * x[i];
}

KERNEL add(float* y, const float* x, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) y[i] += x[i];
}

// y = x · mask, in place where they are the same.
KERNEL dropout(float* y, const float* x, u64 count, u64 key, u32 threshold, float kept) {
    Dropout d = dropout_of(key, threshold, kept);
    for (u64 i = here(); i < count; i += everyone()) y[i] = x[i] * dropped(d, i);
}

// sum = x + dropout(branch + bias); bias: [cols] or null. `sum` may be either of both.
KERNEL add_branch(
    float* sum, const float* x, const float* branch, const float* bias, u64 count, u32 cols, u64 key, u32 threshold,
    float kept
) {
    Dropout d = dropout_of(key, threshold, kept);
    for (u64 i = here(); i < count; i += everyone()) {
        float y = branch[i];
        if (bias) y += bias[i % cols];
        sum[i] = y * dropped(d, i) + x[i];
    }
}

// What a product's epilogue is where nothing does it in the product: y = act(y + bias) in some columns of y, [rows, stride],
// from its first on; bias: [cols] or null.
KERNEL finish(float* y, u32 stride, const float* bias, u32 act, u32 cols, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) {
        float* at = y + i / cols * stride + i % cols;
        *at = finished(*at, bias, (u32)(i % cols), act);
    }
}

// y = act(x + bias); bias: [cols] or null.
KERNEL activate(float* y, const float* x, const float* bias, u32 act, u32 cols, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) {
        y[i] = activation(act, bias ? x[i] + bias[i % cols] : x[i], (float*)0);
    }
}

// dx = dy · act'(x + bias)
KERNEL activate_backward(
    float* dx, const float* dy, const float* x, const float* bias, u32 act, u32 cols, u64 count
) {
    for (u64 i = here(); i < count; i += everyone()) {
        float slope;
        activation(act, bias ? x[i] + bias[i % cols] : x[i], &slope);
        dx[i] = dy[i] * slope;
    }
}

// y = act(x[:, ..cols]) · x[:, cols..]; x: [rows, 2·cols], y: [rows, cols] of `count` elements.
KERNEL gated(float* y, const float* x, u32 act, u32 cols, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) {
        const float* gate = x + i / cols * 2 * cols + i % cols;
        y[i] = activation(act, gate[0], (float*)0) * gate[cols];
    }
}

KERNEL gated_backward(float* dx, const float* dy, const float* x, u32 act, u32 cols, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) {
        u64 at = i / cols * 2 * cols + i % cols;
        float slope, value = activation(act, x[at], &slope);
        dx[at] = dy[i] * x[at + cols] * slope;
        dx[at + cols] = dy[i] * value;
    }
}

// y = x in f32; x: [rows, cols] in any storage type.
KERNEL widen(float* y, const void* x, const float* scales, u32 type, u32 cols, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) y[i] = stored(x, scales, type, i / cols, (u32)(i % cols), cols);
}

// y = some columns of x, [rows, stride], in bf16 or f16, row after row.
KERNEL narrow(u16* y, const float* x, u32 type, u32 cols, u32 stride, u64 count) {
    for (u64 i = here(); i < count; i += everyone()) {
        float value = x[i / cols * stride + i % cols];
        y[i] = type == STORED_BF16 ? f32_to_bf16(value) : f32_to_f16(value);
    }
}

// Turns pairs of some columns of x, [rows, stride], in place: `columns` of them from its first on, whole heads of `width`.
// turns: [positions, width], sine and cosine of each pair; sign −1 turns back. count: rows · columns / 2.
KERNEL rotate(
    float* x, u32 stride, u32 columns, const u32* positions, const float* turns, u32 width, float sign, u64 count
) {
    u32 pairs = columns / 2;
    for (u64 i = here(); i < count; i += everyone()) {
        u64 row = i / pairs;
        u32 column = 2 * (u32)(i % pairs);
        float* pair = x + row * stride + column;
        const float* turn = turns + (u64)positions[row] * width + column % width;
        float a = pair[0], b = pair[1], sine = sign * turn[0], cosine = turn[1];
        pair[0] = a * cosine - b * sine;
        pair[1] = b * cosine + a * sine;
    }
}
