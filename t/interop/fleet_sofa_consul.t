#!/usr/bin/perl

# Providers of SOFARPC that register in Consul come, drain and die
# under a consumer, one of SOFARPC.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Fleet;

Interop::Fleet::life('sofa513', 'sofa513', 'consul');
