// What kernels of attention over packed sequences share: how its work is cut, scores, their softmax and the way back
// through it. See attention.cu.

// Queries of a block; keys of a tile.
#define QUERIES 64
#define KEYS 32
// Threads of a block, a square.
#define SIDE 16

struct Queries {
    // Row of the first in the tensors, how many, and which of the span's the first is.
    u32 first, count, row;
    // The span: row of its first key, keys, position of its first query, how many keys all see, its number.
    u32 first_key, keys, position, prefix, span;
};

struct Keys {
    // Row of the first in the tensors, how many, and which of the span's the first is.
    u32 first, count, key;
    u32 first_query, queries, keys, position, prefix, span;
};

// Where a head's rows of a tensor lie.
struct Rows {
    const float* data;
    u32 stride;
};

struct Scores {
    float scale;
    // The bias of each head and relative position, [heads, width], 0 being in column `before`; null where there is none.
    const float* bias;
    u32 width, before;
    // Vectors by relative position beside keys and values, [2 · reach + 1, d], further ones taken for the last; null where
    // there are none.
    const float* vectors;
    u32 reach;
    Dropout dropout;
};

__device__ Rows rows_of(const float* data, u32 stride, u32 d) {
    Rows rows;
    rows.data = data + blockIdx.y * d;
    rows.stride = stride;
    return rows;
}

__device__ Scores scores_of(
    float scale, const float* bias, u32 width, u32 before, const float* vectors, u32 reach, u64 key, u32 threshold,
    float kept, u32 span
) {
    Scores s;
    s.scale = scale;
    s.bias = bias ? bias + (u64)blockIdx.y * width : bias;
    s.width = width;
    s.before = before;
    s.vectors = vectors;
    s.reach = reach;
    // Every span and head has masks of its own.
    s.dropout = dropout_of(threshold ? mix(key, (u64)span * gridDim.y + blockIdx.y) : 0, threshold, kept);
    return s;
}

__device__ u32 seen_by(u32 position, u32 prefix, u32 keys) {
    u32 seen = prefix > position + 1 ? prefix : position + 1;
    return seen < keys ? seen : keys;
}

// scale·product + bias of a query at `position` and a key.
__device__ float score(Scores s, float product, u32 position, u32 key) {
    float bias = s.bias ? s.bias[s.before + key - position] : 0.0f;
    return s.scale * product + bias;
}

// A tile's scores, [QUERIES, KEYS + 1], become the softmax's numerators with dropout; largest, sums: each row's so far;
// factors: what was summed before is to be multiplied by. By a block of four threads a query.
__device__ void soften(float* ps, float* largest, float* sums, float* factors, Queries b, Scores s, u32 first) {
    u32 row = threadIdx.x / 4, part = threadIdx.x % 4;
    float* p = ps + row * (KEYS + 1);
    float top = -infinity();
    for (u32 j = part; j < KEYS; j += 4) top = fmaxf(top, p[j]);
    top = fmaxf(top, __shfl_xor_sync(FULL, top, 1));
    top = fmaxf(top, __shfl_xor_sync(FULL, top, 2));
    float old = largest[row];
    top = fmaxf(top, old);
    float shift = top == -infinity() ? 0.0f : top, sum = 0.0f;
    u64 number = (u64)(b.row + row) * b.keys + first;
    for (u32 j = part; j < KEYS; j += 4) {
        float e = expf(p[j] - shift);
        sum += e;
        p[j] = e * dropped(s.dropout, number + j);
    }
    sum += __shfl_xor_sync(FULL, sum, 1);
    sum += __shfl_xor_sync(FULL, sum, 2);
    // All four have read what is written now.
    __syncwarp();
    if (part == 0) {
        float factor = expf(old - shift);
        factors[row] = factor;
        sums[row] = sums[row] * factor + sum;
        largest[row] = top;
    }
}

// A probability and what comes back through its softmax, of a query and a key that it sees.
struct Back {
    float dropped, derivative;
};

// product: of query and key; by_value: of the value and the derivative by what was found; number: the dropout's.
__device__ Back back(
    Scores s, float product, float by_value, u32 position, u32 key, u64 number, float lse, float delta
) {
    float p = expf(score(s, product, position, key) - lse), factor = dropped(s.dropout, number);
    Back b;
    b.dropped = p * factor;
    b.derivative = p * (by_value * factor - delta);
    return b;
}

// What a tile's derivatives by scores, [ROWS, KEYS + 1], give this thread's bucket, which is its number: along each diagonal
// the relative position is the same, and so is its bucket. position: the first row's, first: the first key. By all of a
// block, whose threads are as many as the diagonals and the buckets at least; they go on at different times.
template <int ROWS>
__device__ float of_bucket(const float* ds, const u32* buckets, u32 num_buckets, Scores s, u32 position, u32 first) {
    __shared__ float along[ROWS + KEYS];
    __shared__ u32 bucket_of[ROWS + KEYS];
    if (threadIdx.x < ROWS + KEYS - 1) {
        float sum = 0.0f;
        for (u32 row = 0; row < ROWS; row++) {
            u32 key = threadIdx.x + row - (ROWS - 1);
            if (key < KEYS) sum += ds[row * (KEYS + 1) + key];
        }
        along[threadIdx.x] = sum;
        u32 at = s.before + first + threadIdx.x - (ROWS - 1) - position;
        bucket_of[threadIdx.x] = at < s.width ? buckets[at] : num_buckets;
    }
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.x < num_buckets) {
        for (u32 i = 0; i < ROWS + KEYS - 1; i++) {
            if (bucket_of[i] == threadIdx.x) sum += along[i];
        }
    }
    return sum;
}
