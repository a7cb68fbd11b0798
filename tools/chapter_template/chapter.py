# %% [markdown]
# # TITLE
#
# :::{admonition} What you will be able to do
# - **TODO** a verb, and what the reader can do with it afterwards;
# - **count** what a picture holds before a network sees it;
# - **say** which axis an operation changes.
#
# Before: [chapter 1](01_tensor_reshaping.ipynb). Reading: 10 minutes. Running: a few seconds.
# :::

# %% [markdown]
# TODO: open with a concrete question, and a widget or a picture. Here: a picture of 3 × 4 pixels is a tensor of twelve numbers. Where does each of them go when you turn the picture?
#
# **Predict.** TODO: let the reader commit before the cell below answers.

# %%
import torch

from dlnotes.device import pick_device, seed_everything
from dlnotes.exercises import check
from dlnotes.widgets import SelfAssessment, TensorShapes

device = pick_device()
_ = seed_everything(0)

# %%
TensorShapes(shape=(3, 4), names="h w", steps=["transpose(0, 1)"])

# %% [markdown]
# TODO: answer in two or three sentences. Link each term at its first use, with its Chinese: the first {term}`axis` (轴) of a
# {term}`batch` (批次) of {term}`feature maps <feature map>` (特征图) counts samples, a {term}`view` (视图) copies nothing, and what is {term}`contiguous` (连续) is read in steps of one.
#
# ## By hand, then with the library
#
# TODO: write the idea by hand in a few lines, then show that the polished version gives the same. The mean of a picture $x$ with $n$ numbers is
#
# $$\bar x = \frac{1}{n} \sum_i x_i.$$

# %%
picture = torch.arange(12.0, device=device).reshape(1, 3, 4)                   # c h w
by_hand = sum(picture.flatten().tolist()) / picture.numel()
assert by_hand == picture.mean().item()
print(f"{picture.numel()} numbers, mean {by_hand}")

# %% [markdown]
# ## What people get wrong
#
# **"TODO: a belief that circulates, quoted."** Meet it by an experiment. If it is one of those to be settled, put `(claim-Cxxx)=` above this paragraph, tag the cell `claim:Cxxx`,
# and add it to `claims.yml`. Here: *"a transposed picture has been moved in memory"*.

# %%
turned = picture.transpose(1, 2)                                               # c w h
assert turned.data_ptr() == picture.data_ptr()
print("same storage:", turned.data_ptr() == picture.data_ptr())

# %% [markdown]
# ## Exercises
#
# TODO: six or more, from a warm-up to an open project. {term}`Broadcasting <broadcasting>` (广播) helps with two of these; none needs a {term}`convolution` (卷积), a {term}`kernel` (卷积核) or {term}`padding` (填充).
#
# **1. How many numbers?** (warm-up) Return how many numbers a picture (c, h, w) holds.

# %% tags=["exercise:MODULE.numbers"]
def numbers(picture):
    ...                                                                        # int


check("MODULE.numbers", numbers)

# %% tags=["solution:MODULE.numbers", "hide-cell"]
def numbers(picture):
    return picture.numel()


check("MODULE.numbers", numbers)

# %% [markdown]
# **2. How many bytes?** Return how many bytes they take.

# %% tags=["exercise:MODULE.size"]
def size(picture):
    ...                                                                        # int, bytes


check("MODULE.size", size)

# %% tags=["solution:MODULE.size", "hide-cell"]
def size(picture):
    return picture.numel() * picture.element_size()


check("MODULE.size", size)

# %% [markdown]
# **3. Mirror.** Return the picture with left and right exchanged.

# %% tags=["exercise:MODULE.mirror"]
def mirror(picture):
    ...                                                                        # c h w


check("MODULE.mirror", mirror)

# %% tags=["solution:MODULE.mirror", "hide-cell"]
def mirror(picture):
    return picture.flip(2)                                                     # c h w


check("MODULE.mirror", mirror)

# %% [markdown]
# **4. Grey.** Return the mean over the colours, with one channel left.

# %% tags=["exercise:MODULE.grey"]
def grey(picture):
    ...                                                                        # 1 h w


check("MODULE.grey", grey)

# %% tags=["solution:MODULE.grey", "hide-cell"]
def grey(picture):
    return picture.mean(0, keepdim=True)                                       # 1 h w


check("MODULE.grey", grey)

# %% [markdown]
# **5. The middle.** Return the square of side k in the middle. Where a side does not divide evenly, leave the larger rest at the end.

# %% tags=["exercise:MODULE.middle"]
def middle(picture, k):
    ...                                                                        # c k k


check("MODULE.middle", middle)

# %% tags=["solution:MODULE.middle", "hide-cell"]
def middle(picture, k):
    top, left = (picture.shape[1] - k) // 2, (picture.shape[2] - k) // 2
    return picture[:, top:top + k, left:left + k]                              # c k k


check("MODULE.middle", middle)

# %% [markdown]
# **6. Each channel by itself.** (harder) Stretch every channel so that its least number becomes 0 and its greatest 1.

# %% tags=["exercise:MODULE.stretch"]
def stretch(picture):
    ...                                                                        # c h w


check("MODULE.stretch", stretch)

# %% tags=["solution:MODULE.stretch", "hide-cell"]
def stretch(picture):
    low, high = picture.amin((1, 2), keepdim=True), picture.amax((1, 2), keepdim=True)   # c 1 1
    return (picture - low) / (high - low)                                      # c h w


check("MODULE.stretch", stretch)

# %% [markdown]
# **7. Open project.** TODO. Judge it by this rubric:
#
# | Points | For |
# |---|---|
# | 2 | a question that a measurement can answer |
# | 2 | a baseline, several seeds, and a look at {term}`overfitting` (过拟合) after each {term}`epoch` (轮次) |
# | 1 | what did not work, said |

# %% [markdown]
# ## Check yourself

# %%
SelfAssessment("STEM")

# %% [markdown]
# ## Summary
#
# | Tool | In → out | Cost | Use it for |
# |---|---|---|---|
# | `transpose` | (h, w) → (w, h) | no copy | another order of axes |
#
# TODO: two or three sentences that one keeps.

# %% [markdown]
# ## Further reading
#
# - TODO: cite where each idea comes from: {cite}`krizhevsky2009learning`.
# - API: [dlnotes.shapes](api/shapes.md).
