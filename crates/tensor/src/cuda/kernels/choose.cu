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

// Columns that top_many sorts at most.
#define SORTED 4096

// A number and its place as one that is larger the better they are: the number first, both zeros alike, then the lower place
// (below 2^31), then which zero. 0: none.
__device__ u64 rank_of(float v, u32 place) {
    if (!(v > -infinity())) return 0;
    u32 bits = (u32)__float_as_int(v), negative_zero = bits == 0x80000000u;
    if (negative_zero) bits = 0;
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (u64)bits << 32 | (0x7fffffffu - place) << 1 | negative_zero;
}

// The place in `keys` of number i of runs of `run` numbers, a power of 2, that lie run · 2^apart from one another.
__device__ u32 in_runs(u32 i, u32 run, u32 apart) { return (i & ~(run - 1)) << apart | (i & (run - 1)); }

// One step of a bitonic sort of `count` numbers in such runs: those `step` apart are put in order, the larger first where a
// bit of their number, `ascending`, is not set.
__device__ void compare(u64* keys, u32 count, u32 run, u32 apart, u32 step, u32 ascending) {
    for (u32 p = threadIdx.x; p < count / 2; p += blockDim.x) {
        u32 i = (p & ~(step - 1)) << 1 | (p & (step - 1));
        u64 *a = keys + in_runs(i, run, apart), *b = a + step, first = *a, second = *b;
        if ((first < second) == !(i & ascending)) {
            *a = second;
            *b = first;
        }
    }
    __syncthreads();
}

// As `top`, for parts of SORTED columns at most, in a time that hardly depends on `count`: runs of `run` numbers, a power of 2
// and at least `count`, are sorted, and as long as there are two the better of both are sorted again.
KERNEL top_many(
    float* values, u32* places, const float* x, const u32* named, const u32* rows, u32 cols, u32 part, u32 count, u32 run
) {
    __shared__ u64 keys[SORTED];
    u64 row = (u64)(rows ? rows[blockIdx.y] : blockIdx.y) * cols;
    u32 first = blockIdx.x * part, there = cols - first < part ? cols - first : part;
    for (u32 i = threadIdx.x; i < SORTED; i += blockDim.x) {
        u64 at = row + first + i;
        keys[i] = i < there ? rank_of(x[at], named ? named[at] : first + i) : 0;
    }
    __syncthreads();
    for (u32 size = 2; size <= run; size *= 2)
        for (u32 step = size / 2; step > 0; step /= 2) compare(keys, SORTED, run, 0, step, size);
    for (u32 apart = 1; run << apart <= SORTED; apart++) {
        // Of a run that falls and one that rises the better of those in the same place are the best of both, and they rise
        // and fall at most once each.
        u32 left = SORTED >> apart;
        for (u32 i = threadIdx.x; i < left; i += blockDim.x) {
            u64 *key = keys + in_runs(i, run, apart), other = key[run << (apart - 1)];
            if (other > *key) *key = other;
        }
        __syncthreads();
        for (u32 step = run / 2; step > 0; step /= 2) compare(keys, left, run, apart, step, run);
    }
    u64 to = ((u64)blockIdx.y * gridDim.x + blockIdx.x) * count;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        u64 key = keys[i];
        u32 bits = (u32)(key >> 32), low = (u32)key;
        bits = bits >> 31 ? bits & 0x7fffffffu : ~bits;
        if (low & 1u) bits = 0x80000000u;
        values[to + i] = key ? __int_as_float((int)bits) : -infinity();
        places[to + i] = key ? 0x7fffffffu - (low >> 1) : NOWHERE;
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
