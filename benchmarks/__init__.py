"""What the project claims about speed, memory and waits, as programs that measure it.

    python -m benchmarks                 all of them            python -m benchmarks peers parts    some of them
    python -m benchmarks compare A B     two results side by side, from one machine only
    python -m benchmarks plot [RESULT]   an SVG of a result     python -m benchmarks gate           CI's short one

    peers    the same pairs through bulkwriter and through what people use instead
    parts    µs a pair of each stage alone, and what each feature adds
    scale    pairs, in flight, latency, source formats
    resume   reopening a journal
    startup  from the command to its help, and to the first POST
    workbooks  CPU and memory to read 100,000 rows of .xlsx
    resolve  list calls, memory and CPU to look ids up, against bars
    singles  single pairs and batches beside a stream of the same pairs
    quota    what quotas and their ledger cost a request

How figures are made.  Whatever is compared runs as a child process, one at a time, in turns (A B C, A B C, …), at least
five times after a warm-up, and medians are told; every raw run is in the result.  The first figure is CPU: user and
system time of the whole child, as the kernel counted it (`wait4`), over its pairs; interpreter start and imports are
in it.  Throughput is second, as the child tells it, since on a shared machine it says as much about the neighbours.
The client has one core and the server another.  A figure is compared only with figures of the same run, or at least of
the same machine.
"""
