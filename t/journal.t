#!/usr/bin/perl

# Unit tests of the journal's files, t/journal/*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Mesh::Agent;

Mesh::Agent::unit();
