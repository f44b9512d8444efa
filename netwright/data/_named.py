"""The catalogue of named data sets, and where their files are looked for.

A file is looked for in the folder that the environment variable NETWRIGHT_DATA names, then in the
user's cache; it must be, to the byte, the one that the reader was written for. Sets whose official
files have a published SHA-256 are fetched into the cache when both lack them.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from netwright.data import _packed, _packed_molecules, _packed_sequences
from netwright.data._errors import DataError
from netwright.data._gathered import Gathered

__all__ = ["NAMED", "NamedSet", "Remote", "read_named", "user_cache"]


@dataclass(frozen=True, slots=True)
class Remote:
    """Official files of a set.

    Attributes:
        files: address and SHA-256 of each.
        read: makes a source of the fetched files, in this order.
    """

    files: Mapping[str, str]
    read: Callable[..., Gathered]


@dataclass(frozen=True, slots=True)
class NamedSet:
    """One named data set.

    Attributes:
        summary: one line for people.
        origin: where the data come from.
        read: makes a source of the files, in this order.
        files: path inside the data folder and SHA-256 of each; empty if scikit-learn carries it.
        remote: official files; None if no address gives files with a published SHA-256.
    """

    summary: str
    origin: str
    read: Callable[..., Gathered]
    files: Mapping[str, str]
    remote: Remote | None = None


_MNIST = Remote(
    {
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz": (
            "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
        )
    },
    _packed.mnist,
)
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_FASHION = Remote(
    {
        f"{_ZALANDO}/train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        f"{_ZALANDO}/train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        f"{_ZALANDO}/t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        f"{_ZALANDO}/t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
    _packed.fashion_mnist_idx,
)
_CIFAR10 = Remote(
    {
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz": (
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
        )
    },
    _packed.cifar10_binary,
)
_CALIFORNIA = Remote(
    {
        "https://raw.githubusercontent.com/ageron/handson-ml2/"
        "aa555aa16b9d0af6c84e67c7757f3317d05acb12/datasets/housing/housing.csv": (
            "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e"
        )
    },
    _packed.california_housing,
)

NAMED: Mapping[str, NamedSet] = {
    "digits": NamedSet("1,797 handwritten digits, 8 x 8", "scikit-learn", _packed.digits, {}),
    "iris": NamedSet("150 flowers of three species", "scikit-learn", _packed.iris, {}),
    "wine": NamedSet("178 wines of three growers", "scikit-learn", _packed.wine, {}),
    "breast_cancer": NamedSet(
        "569 tumours, malignant or benign", "scikit-learn", _packed.breast_cancer, {}
    ),
    "diabetes": NamedSet(
        "442 patients, progression after a year", "scikit-learn", _packed.diabetes, {}
    ),
    "mnist": NamedSet(
        "70,000 handwritten digits, 28 x 28; official test split",
        "http://yann.lecun.com/exdb/mnist/",
        _packed.mnist,
        {"images/mnist.npz": "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"},
        _MNIST,
    ),
    "fashion_mnist": NamedSet(
        "70,000 pictures of clothes, 28 x 28; the packed file holds the first 3,614",
        "https://github.com/zalandoresearch/fashion-mnist",
        _packed.fashion_mnist_first,
        {
            "images/fashion_mnist_first3614.npz": (
                "9e1ca92096176fb9f45c44cdf36e3b130eb36b0f8befb6ce39f724de966f01ab"
            )
        },
        _FASHION,
    ),
    "cifar10": NamedSet(
        "60,000 small photographs, 32 x 32; official test split",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        _packed.cifar10,
        {
            "images/cifar10_train_q92.npz": (
                "1b0169be15afb69d35d3ff80e41ad6f34f3d72e67ab4aa8059fa5b29a215dfb3"
            ),
            "images/cifar10_test.npz": (
                "1e4b4261ac8ea9905720532e38bf0a43bc3d9a472a104e9b1e391de635a5ec3e"
            ),
        },
        _CIFAR10,
    ),
    "omniglot": NamedSet(
        "19,280 handwritten characters of 964 kinds, 28 x 28 (the background set)",
        "https://github.com/brendenlake/omniglot",
        _packed.omniglot,
        {
            "images/omniglot28.npz": (
                "8a1eb9739debc7d3e71e5b7919c62f05d5b427a3310a75ce206ae40ae19c8333"
            )
        },
    ),
    "orl_faces": NamedSet(
        "380 photographs of 38 faces",
        "https://cam-orl.co.uk/facedatabase.html",
        _packed.orl_faces,
        {"faces/orl_faces.npz": "d0a2daba1bc46d613c00f80f583b6b1662d9238c371f41f4312397788baed6ea"},
    ),
    "pneumoniamnist": NamedSet(
        "5,855 chest X-rays, 28 x 28; official validation and test splits",
        "https://medmnist.com",
        _packed.pneumoniamnist,
        {
            "medical/pneumoniamnist.npz": (
                "007e6643b3ed5e1dd2778d4357d94eb794826d73193b4241690f4f11b68abd58"
            )
        },
    ),
    "adult": NamedSet(
        "48,842 census records, income above 50,000 dollars; official test split",
        "https://archive.ics.uci.edu/dataset/2/adult",
        _packed.adult,
        {
            "tabular/adult.csv.gz": (
                "cc775d1d00ce6e9b4414bebf30a352d2ffde0f29da7dca1f154fc9b2d3c5229d"
            )
        },
    ),
    "california_housing": NamedSet(
        "20,640 districts, median house value in units of 100,000 dollars",
        "https://github.com/ageron/handson-ml2",
        _packed.california_housing,
        {
            "tabular/california_housing.csv.gz": (
                "73cdc57572f6d0a7987a358cf50b9fb093bd4cfc770011d5af5bb332e88c73e4"
            )
        },
        _CALIFORNIA,
    ),
    "compas": NamedSet(
        "6,172 defendants, arrested again within two years",
        "https://github.com/propublica/compas-analysis",
        _packed.compas,
        {
            "tabular/compas_two_years.csv.gz": (
                "1f5b9ac6be3d1e46701ed6d8b56694d5a61878d6be4ec4fe355a97bc0637b0b5"
            )
        },
    ),
    "rt_polarity": NamedSet(
        "10,662 sentences of film reviews, positive or negative",
        "https://www.cs.cornell.edu/people/pabo/movie-review-data/",
        _packed.rt_polarity,
        {
            "text/rt_polarity.csv.gz": (
                "0d56b65cc2b75669a200850c47b9ed54ac3b0885c040efa4aa37cf59d0c77563"
            )
        },
    ),
    "movie_reviews": NamedSet(
        "2,000 film reviews, positive or negative",
        "https://www.cs.cornell.edu/people/pabo/movie-review-data/",
        _packed.movie_reviews,
        {
            "text/movie_reviews_2k.csv.gz": (
                "3b7150b219b029f0c73583c80821ade8d19ce82d771babb8f8929a6163063ba6"
            )
        },
    ),
    "sst": NamedSet(
        "11,855 sentences of film reviews in five degrees; official splits",
        "https://nlp.stanford.edu/sentiment/",
        _packed.sst,
        {
            "text/sst_fine.csv.gz": (
                "0e601c4468d84dd757b095af12a99aea501452de133f8d932b1ac88eefc6fde2"
            )
        },
    ),
    "ag_news": NamedSet(
        "news of four kinds: a sample of 4,984 to train on, the official test split of 7,600",
        "http://groups.di.unipi.it/~gulli/AG_corpus_of_news_articles.html",
        _packed.ag_news,
        {
            "text/ag_news_train_sample.csv.gz": (
                "9f74057af7bbfa09a141a716fe6e3fa5a9a6550f27affaf587796c1fe4bcc69d"
            ),
            "text/ag_news_test.csv.gz": (
                "32eb568a48dd9f51caaa7f9ccde3fae2775880bdcd5ae728a938b38508b71dd2"
            ),
        },
    ),
    "bbbp": NamedSet(
        "2,050 molecules (SMILES) that pass from blood to brain, or do not",
        "https://moleculenet.org (Martins et al. 2012)",
        _packed_molecules.bbbp,
        {
            "molecules/bbbp.csv.gz": (
                "88cee1d1b404092e9905e3385ace6961dab4d3cb3747de7985df96f916bd1605"
            )
        },
    ),
    "esol": NamedSet(
        "1,128 molecules (SMILES) and how well they dissolve in water",
        "https://moleculenet.org (Delaney 2004)",
        _packed_molecules.esol,
        {
            "molecules/esol.csv.gz": (
                "942391b4a6579069a5aace306c017b7a4f1a416ffcbed7a72b5293852fa176dd"
            )
        },
    ),
    "clintox": NamedSet(
        "1,484 drugs (SMILES), approved, or given up as toxic",
        "https://moleculenet.org (Gayvert et al. 2016)",
        _packed_molecules.clintox,
        {
            "molecules/clintox.csv.gz": (
                "fcdfd7a6d1b18e529c8818f5572c68c49f9dfde5666016cbe90cf6ea100cc728"
            )
        },
    ),
    "fsdd": NamedSet(
        "3,000 spoken digits of six speakers, 8,000 samples a second; official test split",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        _packed_sequences.fsdd,
        {"audio/fsdd.npz": "ee896f1dc2039aeab2baff6f68ca34922cb6f06dc551b919b411c477a0ce795f"},
    ),
    "ecg5000": NamedSet(
        "500 heart beats of 140 samples, five kinds",
        "https://www.timeseriesclassification.com/description.php?Dataset=ECG5000",
        _packed_sequences.ecg5000,
        {
            "timeseries/ecg5000_train500.npz": (
                "c7981de7ce1dc1277bab5bbd119eac91f2e0ee104ecf7e8b37238844593459f8"
            )
        },
    ),
    "basicmotions": NamedSet(
        "80 recordings of four motions, six channels; official test split",
        "https://www.timeseriesclassification.com",
        _packed_sequences.series,
        {
            "timeseries/ucr_basicmotions.npz": (
                "ed3be5540f08fcc5b5548efa857f7d029f2b895c5bc2fec83c4219b147899804"
            )
        },
    ),
    "italypowerdemand": NamedSet(
        "1,096 days of power demand, winter or summer; official test split",
        "https://www.timeseriesclassification.com",
        _packed_sequences.series,
        {
            "timeseries/ucr_italypowerdemand.npz": (
                "002e0d388dd9f388e46ef529d7b7e7179a51c5f2f269e543ef041e562e754ad8"
            )
        },
    ),
    "arrowhead": NamedSet(
        "211 outlines of arrow heads of three kinds; official test split",
        "https://www.timeseriesclassification.com",
        _packed_sequences.series,
        {
            "timeseries/ucr_arrowhead.npz": (
                "4c2eed7a81927cb2d66576da9d107bcd3f4f4e5c69eb788a0a6b706313b13e10"
            )
        },
    ),
    "japanesevowels": NamedSet(
        "640 spoken vowels of nine speakers, twelve channels; official test split",
        "https://www.timeseriesclassification.com",
        _packed_sequences.series,
        {
            "timeseries/ucr_japanesevowels.npz": (
                "93eecead0364c126c15b5e1166fbfbbfd37cfa4ed45d2a61a55b380029c8cb1a"
            )
        },
    ),
}


def user_cache() -> Path:
    """Return the user's cache folder of Netwright, laid out as the folder of data sets."""
    import pooch

    return Path(pooch.os_cache("netwright"))


def read_named(name: str) -> Gathered:
    """Read a named data set.

    Args:
        name: a name in `NAMED`.

    Raises:
        DataError: if its files are nowhere, cannot be fetched, or differ from the known ones.
    """
    known = NAMED[name]
    folders = [user_cache()]
    if os.environ.get("NETWRIGHT_DATA"):
        folders.insert(0, Path(os.environ["NETWRIGHT_DATA"]))
    for folder in folders:
        paths = [folder / file for file in known.files]
        if all(path.is_file() for path in paths):
            for path, sha256 in zip(paths, known.files.values(), strict=True):
                _check(path, sha256)
            return replace(known.read(*paths), name=name)
    if known.remote is None:
        raise DataError(f"`{name}` was not found. {_where_to_put(known, folders)}")
    paths = [_fetch(url, sha256, name) for url, sha256 in known.remote.files.items()]
    return replace(known.remote.read(*paths), name=name)


def _check(path: Path, sha256: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} is not the file this set is read from: its SHA-256 is {found}, expected is "
            f"{sha256}. Replace or remove it; to read a file of your own, give `load` its path."
        )


def _fetch(url: str, sha256: str, name: str) -> Path:
    import pooch

    folder = user_cache() / "fetched"
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        return Path(pooch.retrieve(url, sha256, f"{name}-{url.rpartition('/')[2]}", folder))
    except (OSError, ValueError) as error:  # no network, no such address, or another content
        known = NAMED[name]
        folders = [Path(os.environ.get("NETWRIGHT_DATA") or "$NETWRIGHT_DATA"), user_cache()]
        raise DataError(
            f"`{name}` was not found and could not be fetched from {url}: {error}. "
            f"{_where_to_put(known, folders)}"
        ) from error
    finally:
        logger.setLevel(level)


def _where_to_put(known: NamedSet, folders: list[Path]) -> str:
    files = " and ".join(f"{file} (SHA-256 {sha})" for file, sha in known.files.items())
    places = " or ".join(str(folder) for folder in folders)
    hint = "" if os.environ.get("NETWRIGHT_DATA") else ", or set NETWRIGHT_DATA to their folder"
    return f"Put {files} into {places}{hint}. The data come from {known.origin}."
