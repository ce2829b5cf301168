// What a decoding step looks for in rows of logits: the largest, and the logarithm of the softmax's denominator.

// The `count` largest of every row with their places, the largest first and the first of equals first; −∞ and no place
// (0xffffffff) where there are not so many. NaN and −∞ are never among them. values, places: [gridDim.x, count].
KERNEL top(float* values, u32* places, const float* x, u32 cols, u32 count) {
    __shared__ float best[WARP];
    __shared__ u32 where[WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x += (u64)blockIdx.x * cols;
    float last = infinity();
    // Whether an element equal to the last found is still to come depends on its place.
    u32 last_place = 0xffffffffu;
    bool none_yet = true;
    for (u32 found = 0; found < count; found++) {
        float value = -infinity();
        u32 place = 0xffffffffu;
        for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
            bool after = none_yet || x[c] < last || (x[c] == last && c > last_place);
            if (after && x[c] > value) {
                value = x[c];
                place = c;
            }
        }
        for (int step = WARP / 2; step > 0; step /= 2) {
            float other = __shfl_xor_sync(FULL, value, step);
            u32 there = __shfl_xor_sync(FULL, place, step);
            if (other > value || (other == value && there < place)) {
                value = other;
                place = there;
            }
        }
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
            values[(u64)blockIdx.x * count + found] = value;
            places[(u64)blockIdx.x * count + found] = place;
        }
        last = value;
        last_place = place;
        none_yet = false;
    }
}
