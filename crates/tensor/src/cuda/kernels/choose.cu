// What a decoding step looks for in rows of logits: single ones, the largest, and sums of exponentials. A row is cut into
// parts of `part` columns, a block each, so that few rows keep a card busy too. Where `rows` is null, row i is the i-th.

#define NOWHERE 0xffffffffu

// Column columns[i] of row rows[i] goes into values[i] and is −∞ from then on; with `back` it is values[i] again. Where a
// row is NOWHERE nothing happens, and values[i] is −∞.
KERNEL take_named(float* values, float* x, const u32* rows, const u32* columns, u32 cols, u32 count, u32 back) {
    for (u64 i = here(); i < count; i += everyone()) {
        float* at = rows[i] == NOWHERE ? 0 : x + (u64)rows[i] * cols + columns[i];
        if (at && back) {
            *at = values[i];
        } else if (!back) {
            values[i] = at ? *at : -infinity();
            if (at) *at = -infinity();
        }
    }
}

// The `count` largest of every part with their places, the largest first and of equals the one with the lowest place; −∞ and
// NOWHERE where there are not so many. NaN and −∞ are never among them. `named`: each number's place, null where that is its
// column. values, places: [rows, parts, count]; grid: [parts, rows].
KERNEL top(
    float* values, u32* places, const float* x, const u32* named, const u32* rows, u32 cols, u32 part, u32 count
) {
    __shared__ float best[WARP];
    __shared__ u32 where[WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 row = (u64)(rows ? rows[blockIdx.y] : blockIdx.y) * cols;
    u32 first = blockIdx.x * part, end = cols - first < part ? cols : first + part;
    u64 to = ((u64)blockIdx.y * gridDim.x + blockIdx.x) * count;
    float last = infinity(), own = -infinity();
    u32 last_place = NOWHERE, own_place = NOWHERE;
    bool none_yet = true, stale = true;
    for (u32 found = 0; found < count; found++) {
        if (stale) {
            // The best of this thread's that come after the last found.
            own = -infinity();
            own_place = NOWHERE;
            for (u32 c = first + threadIdx.x; c < end; c += blockDim.x) {
                float v = x[row + c];
                u32 p = named ? named[row + c] : c;
                bool after = none_yet || v < last || (v == last && p > last_place);
                if (after && v > -infinity() && (v > own || (v == own && p < own_place))) {
                    own = v;
                    own_place = p;
                }
            }
        }
        float value = own;
        u32 place = own_place;
        for (int step = WARP / 2; step > 0; step /= 2) {
            float other = __shfl_xor_sync(FULL, value, step);
            u32 there = __shfl_xor_sync(FULL, place, step);
            if (other > value || (other == value && there < place)) {
                value = other;
                place = there;
            }
        }
        // The last round's have been read.
        __syncthreads();
        if (lane == 0) {
            best[warp] = value;
            where[warp] = place;
        }
        __syncthreads();
        value = best[0];
        place = where[0];
        for (u32 w = 1; w < warps; w++) {
            if (best[w] > value || (best[w] == value && where[w] < place)) {
                value = best[w];
                place = where[w];
            }
        }
        if (threadIdx.x == 0) {
            values[to + found] = value;
            places[to + found] = place;
        }
        stale = place != NOWHERE && place == own_place;
        last = value;
        last_place = place;
        none_yet = false;
    }
}

// For every part the largest of x / divisor and the sum of the exponentials of what the others are less than it (0 where all
// are −∞). divisors: one a row of the grid. sums: [rows, parts, 2]; grid: [parts, rows].
KERNEL sum_exp(float* sums, const float* x, const u32* rows, const float* divisors, u32 cols, u32 part) {
    __shared__ float scratch[WARP];
    const float* row = x + (u64)(rows ? rows[blockIdx.y] : blockIdx.y) * cols;
    u32 first = blockIdx.x * part, end = cols - first < part ? cols : first + part;
    float divisor = divisors[blockIdx.y], largest = -infinity(), sum = 0.0f;
    for (u32 c = first + threadIdx.x; c < end; c += blockDim.x) largest = fmaxf(largest, row[c] / divisor);
    largest = block_max(largest, scratch);
    float shift = largest == -infinity() ? 0.0f : largest;
    for (u32 c = first + threadIdx.x; c < end; c += blockDim.x) sum += expf(row[c] / divisor - shift);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) {
        float* to = sums + 2 * ((u64)blockIdx.y * gridDim.x + blockIdx.x);
        to[0] = largest;
        to[1] = sum;
    }
}

// Part parts[i] of row rows[i], −∞ behind the row's end. out: [gridDim.y, part]
KERNEL take_parts(float* out, const float* x, const u32* rows, const u32* parts, u32 cols, u32 part) {
    u64 first = (u64)parts[blockIdx.y] * part;
    const float* row = x + (u64)rows[blockIdx.y] * cols;
    for (u64 c = here(); c < part; c += everyone()) {
        out[(u64)blockIdx.y * part + c] = first + c < cols ? row[first + c] : -infinity();
    }
}
