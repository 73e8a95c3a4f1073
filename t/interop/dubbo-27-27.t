#!/usr/bin/perl

# Dubbo 2.7.23 consumer, 2.7.23 provider.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop qw(pairing);

pairing(27, 27);
