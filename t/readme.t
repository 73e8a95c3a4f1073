#!/usr/bin/perl

# README.md and the modules agree: directives with their contexts and defaults,
# variables, metrics, statuses of typed answers; and its configurations are
# accepted by nginx -t.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Mesh::Test;

my $t = Mesh::Test->new;
my $readme = $t->read_file($t->root . '/README.md');

my %context = (
    'NGX_MAIN_CONF' => 'main', 'NGX_MESH_CONF' => 'mesh',
    'NGX_MESH_SERVICE_CONF' => 'service',
    'NGX_MESH_PROTOCOL_CONF' => 'protocol', 'NGX_MESH_ROUTE_CONF' => 'route',
    'NGX_STREAM_MAIN_CONF' => 'stream',
    'NGX_STREAM_SRV_CONF' => 'server', 'NGX_HTTP_LOC_CONF' => 'location',
    'NGX_MESH_STREAM_MAIN_SRV' => 'stream, server',
);

my %code = directives();
my %doc = documented();

cmp_ok(scalar keys %code, '>', 35, 'the modules have directives');
is(join(' ', sort keys %doc), join(' ', sort keys %code),
   'all directives are documented, and no other');

for my $name (sort grep { $doc{$_} } keys %code) {
    my $d = $doc{$name};
    my ($word) = $name =~ /(\w+)/;

    is($d->{context}, $code{$name}, "$name: context");
    like($d->{syntax}, qr/^\*\*$word\*\*/, "$name: syntax");
    like($d->{text}, qr/\w/, "$name: a text");
    ok($d->{default} eq "\xe2\x80\x94" || $d->{default} =~ /^`$word .*;`$/,
       "$name: a default, or none") or diag($d->{default});
}


# what is said to be the default can be written

my %where = (mesh => '', stream => '', server => '', service => '',
             protocol => '', route => '');

for my $name (sort keys %doc) {
    my ($line) = $doc{$name}{default} =~ /^`(.*;)`$/ or next;
    my ($place) = $doc{$name}{context} =~ /(\w+)$/;

    # its text is shown beneath
    next if $name eq 'mesh_log_format';
    $where{$place} .= "        $line\n";
}

accepted('the defaults', <<"CONF");
mesh {
$where{mesh}
    service a.B {
        endpoint 127.0.0.1:1;
$where{service}    }

    protocol p {
        length 0 4;
$where{protocol}    }
}

stream {
$where{stream}
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass dubbo;
$where{server}    }
}
CONF


# the format that is there already

my $source = source('src/stream/ngx_mesh_stream_log_conf.c');
my ($predefined) = $source =~ /ngx_str_set\(&text,\s*(".*?")\);/s;
$predefined = join '', $predefined =~ /"([^"]*)"/g;
like($readme =~ s/\s+/ /gr, qr/ \Q$predefined\E /, 'the format "mesh"');


# variables

my ($fields) = source('src/stream/ngx_mesh_stream_variables.c')
    =~ /ngx_mesh_stream_fields\[\] = \{(.*?)ngx_null_string/s;
my @variables = $fields =~ /ngx_string\("(\w+)"\)/g;

is(join(' ', sort($readme =~ /^\| `\$(\w+)`\*?/mg)),
   join(' ', sort @variables, 'mesh_attachment_'), 'variables');


# metrics

my $metrics = source('src/table/ngx_mesh_metrics_text.c')
              . source('src/table/ngx_mesh_table_text.c');
my %family;

$family{$1} = $2 while $metrics
    =~ /\{ ngx_string\("(mesh_\w+)"\),\s+ngx_string\("(counter|gauge|histogram)"/g;
$family{$2} = index($1, 'gauge') >= 0 ? 'gauge' : 'counter' while $metrics
    =~ /^ +ngx_mesh_metrics_(\w+)\("(mesh_\w+)"/mg;

my $registries = source('src/http/ngx_mesh_http_registries.c');

$family{$1} = $2 while $registries
    =~ /\{ "(mesh_\w+)", "(counter|gauge)",/g;

my %listed = $readme =~ /^\| `(mesh_\w+)` \| (counter|gauge|histogram) \|/mg;

cmp_ok(scalar keys %family, '>', 30, 'there are metrics');
is_deeply(\%listed, \%family, 'metrics and their types');


# typed answers

my @names = (source('src/codec/ngx_mesh_codec.c')
    =~ /ngx_mesh_codec_errors\[\w+\] = \{(.*?)\};/s)[0] =~ /ngx_string\("(\w+)"/g;
my @status = (source('src/codec/ngx_mesh_dubbo.c')
    =~ /ngx_mesh_dubbo_status\[\w+\] = \{(.*?)\};/s)[0] =~ /^\s+(\d+),?\s/mg;
my (%status, %answer);

# the first status is that of no error
@status{@names} = @status[1 .. @names];
%answer = $readme =~ /^\| [^|]+ \| `(\w+)` \| (\d+) \|/mg;

cmp_ok(scalar keys %answer, '>=', 8, 'there are typed answers');
is($answer{$_}, $status{$_}, "$_ has this status") for sort keys %answer;


# configurations; those that say "events" are complete

my @conf = $readme =~ /^```nginx\n(.*?)^```$/msg;
my @complete = grep { /^events\b/m } @conf;

cmp_ok(scalar @conf, '>=', 4, 'there are configurations');
is(scalar @complete, 4, 'one of them complete, and those of three guides');
is(scalar(() = $complete[0] =~ /\n/g), 10, 'in ten lines');

my $n = 0;

for my $text (@conf) {
    # load_module lines come from the harness
    $text =~ s/^load_module .*\n//mg;
    $text =~ s{/var/log/nginx}{%%DIR%%}g;

    accepted('configuration ' . ++$n, $text);
}


# links within

my %anchor = map { lc() =~ s/[^\w -]//gr =~ tr/ /-/r => 1 }
             $readme =~ /^#+ (.*)$/mg;

is(join(' ', grep { !$anchor{$_} } $readme =~ /\]\(#([^)]+)\)/g), '',
   'links lead to headings');
unlike($readme, qr/[ \t]$/m, 'no blanks at the ends of lines');

$t->done;


###############################################################################


sub source {
    my ($path) = @_;
    return $t->read_file($t->root . "/$path");
}


# name => contexts, of all ngx_command_t

sub directives {
    my %found;

    for my $file (glob($t->root . '/src/*.c'), glob($t->root . '/src/*/*.c')) {
        my $text = $t->read_file($file);

        for my $table ($text =~ /^static ngx_command_t\s.*?\{(.*?)^\};/msg) {

            while ($table =~ /\{ ngx_string\("(\w+)"\),\s+([\w|]+),/g) {
                my ($name, $flags) = ($1, $2);
                my @places = grep { defined }
                             map { $context{$_} } split /\|/, $flags;
                my $places = join ', ', @places;

                $found{$found{$name} ? "$name of $places" : $name} = $places;
            }
        }
    }

    return %found;
}


sub documented {
    my %found;

    while ($readme =~ /^\#{4}\ (\w+)\n\n
                       ((?:Syntax:\ [^\n]*<br>\n)+)
                       Default:\ ([^\n]*)<br>\n
                       Context:\ ([^\n]*)\n\n
                       (.*?)(?=^\#|\z)/gmsx)
    {
        my ($name, $syntax, $default, $context, $text) = ($1, $2, $3, $4, $5);
        $name .= " of $context" if $found{$name};
        fail("$name is documented twice") if $found{$name};
        $syntax =~ s/^Syntax: //mg;
        $found{$name} = { syntax => $syntax, default => $default,
                          context => $context, text => $text };
    }

    return %found;
}


sub accepted {
    my ($name, $text) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $said) = $t->check_conf($text);
    is($status, 0, "nginx -t accepts $name") or diag($said, $text);
    unlike($said, qr/\[warn\]/, 'without warnings');
    return;
}
