"""Films: renditions as one progressive file each, sized and seekable by bytes, laid over the media without a copy.

``size`` says how large a film is from the catalogue alone; ``classic`` builds one that every player can seek in, of
whole files; ``indexed`` one of fragments under a common index, of files that are still arriving; ``segments`` lays
transport stream segments end to end. ``layout`` says what lies where, ``films`` keeps what was built, ``source`` reads.
"""
