# C sources are in nginx's style; util/style says where they are not.

use strict;
use warnings;

use FindBin;
use Test::More tests => 2;

my $style = "$FindBin::Bin/../util/style";

my @said = `$style`;
is(join('', @said), '', 'nothing is out of style');
is($?, 0, 'util/style exits with 0');
