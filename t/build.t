# What was built, and who may know whom: symbols of the modules and objects,
# #include lines of the sources.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $root = "$FindBin::Bin/..";
my %so = map { $_ => "$root/build/ngx_mesh${_}_module.so" }
         '', '_stream', '_http';

# rooms below src, "" is src itself; only these headers are for other rooms

my %public = (
    ''       => [qw(ngx_mesh.h)],
    codec    => [qw(ngx_mesh_codec.h ngx_mesh_declared.h ngx_mesh_tree.h)],
    table    => [qw(ngx_mesh_table.h ngx_mesh_item.h ngx_mesh_store.h
                    ngx_mesh_rule.h ngx_mesh_rules.h ngx_mesh_metrics.h
                    ngx_mesh_journal.h ngx_mesh_operator.h
                    ngx_mesh_table_text.h ngx_mesh_want.h)],
    proxy    => [qw(ngx_mesh_proxy.h)],
    registry => [qw(ngx_mesh_registry.h)],
    stream   => [qw(ngx_mesh_stream.h)],
    http     => [qw(ngx_mesh_http.h)],
);

# whose names a room may use; the module's own header has what a configuration
# hands down

my %knows = (
    codec    => [],
    table    => [qw(codec)],
    proxy    => ['', qw(codec table)],
    registry => ['', qw(codec table)],
    stream   => ['', qw(codec table proxy registry)],
    http     => ['', qw(codec table proxy registry)],
    ''       => [qw(codec table proxy registry stream http)],
);

my %nginx = (
    codec    => qr/^ngx_(?:config|core)\.h$/,
    table    => qr/^ngx_(?:config|core)\.h$/,
    proxy    => qr/^ngx_(?:config|core|event\w*)\.h$/,
    registry => qr/^ngx_(?:config|core|event\w*)\.h$/,
    stream   => qr/^ngx_(?:config|core|event\w*|stream\w*)\.h$/,
    http     => qr/^ngx_(?:config|core|event\w*|http\w*)\.h$/,
    ''       => qr/^ngx_(?:config|core|event\w*)\.h$/,
);


# "T name" and "U name" of an object file or, of their dynamic table, modules

sub nm {
    my ($file, @how) = @_;

    my @lines = `nm -P @how $file`;

    return map { [ /^(\S+) (\S)/ ] } @lines;
}


sub undefined { map { $_->[0] } grep { $_->[1] =~ /[Uw]/ } nm(@_) }
sub defined_in { map { $_->[0] } grep { $_->[1] =~ /[TDBRVW]/ } nm(@_) }


sub room_of {
    my ($path) = @_;
    return $path =~ m{/(?:src|addon)/(\w+)/[^/]+$} && $1 ne 'src' ? $1 : '';
}


# the modules

my %owner;

for my $name ('', '_stream', '_http') {
    my $so = $so{$name};
    my $file = basename($so);

    ok(-s $so, "$file is built") or next;

    my @undefined = undefined($so, '-D');
    my $other = $name eq '' ? 'stream|http'
              : $name eq '_stream' ? 'http' : 'stream';

    is(join(' ', grep { /^ngx_(?:mesh_)?(?:$other)_/ } @undefined), '',
       "$file needs no symbol of $other");

    my @exported = defined_in($so, '-D');
    my @own = grep { !/^ngx_module(?:s|_names|_order)$/ } @exported;

    is(join(' ', grep { !/^ngx_mesh_/ } @own), '',
       "$file exports nothing but ngx_mesh_*");

    # symbols are global: the first of two modules would win for both
    is(join(' ', grep { $owner{$_} } @own), '',
       "$file exports nothing another one does");
    $owner{$_} = $file for @own;
}


# their order: stream before what is built on it, the core before both

{
    my ($stream) = grep { -f } map { "$_/ngx_stream_module.so" }
        qw(/usr/lib/nginx/modules /usr/share/nginx/modules);

    ok($stream, 'nginx has a stream module');

    local $ENV{TEST_NGINX_BINARY} = '/usr/sbin/nginx';
    local $ENV{TEST_NGINX_LOAD} = '';
    my $t = Mesh::Test->new;

    my $loads = sub {
        return $t->check_conf(join '', map { "load_module $_;\n" } @_);
    };

    for ([$stream, @so{'', '_stream', '_http'}],
         [@so{'', '_http'}, $stream, $so{_stream}],
         [$so{''}, $stream, @so{qw(_http _stream)}],
         [@so{'', '_http'}],
         [$so{''}])
    {
        my ($status, $said) = $loads->(@$_);
        is($status, 0, join ' ', 'nginx loads', map { basename($_) } @$_)
            or diag($said);
    }

    $t->finish;
}


# the headers a source includes

my %header_room;

for my $path (glob("$root/src/*.h $root/src/*/*.h")) {
    $header_room{basename($path)} = room_of($path);
}

for my $path (glob("$root/src/*.[ch] $root/src/*/*.[ch]")) {
    my $file = $path =~ s/^\Q$root\E\///r;
    my $room = room_of($path);
    my @bad;

    open my $in, '<', $path or die "$path: $!";

    while (my $line = <$in>) {
        my ($header) = $line =~ /^\s*#\s*include\s*[<"]([^>"]+)[>"]/ or next;

        push @bad, $header unless may_include($file, $room, $header);
    }

    is(join(' ', @bad), '', "$file includes only what its room may know");
}


sub may_include {
    my ($file, $room, $header) = @_;

    if (defined(my $of = $header_room{$header})) {
        return 1 if $of eq $room;

        return grep({ $_ eq $of } @{ $knows{$room} // [] })
               && grep { $_ eq $header } @{ $public{$of} };
    }

    # the libc and libraries; checksums are bytes too
    return $room ne 'codec' || $header =~ /^(?:zlib|libdeflate)\.h$/
        if $header !~ /^ngx_/;

    return 1 if $file =~ /ngx_mesh_(stream|http)_module\.c$/
                && $header =~ /^ngx_$1\w*\.h$/;

    return $header =~ ($nginx{$room} // qr/^$/);
}


# and the same by symbols, as a declaration may be copied

my ($objs) = map { s{/ngx_mesh_module\.so$}{}r }
             sort { -M $a <=> -M $b }
             glob("$root/build/obj/*/ngx_mesh_module.so");

my %defined;
my @objects = grep { -f "$root/src/" . source_of($_) }
              glob(($objs // '') . '/addon/*/ngx_mesh*.o');

ok(@objects, 'there are objects');

for my $object (@objects) {
    $defined{$_} = room_of($object) for defined_in($object);
}

for my $object (@objects) {
    my $room = room_of($object);
    my %may = map { $_ => 1 } $room, @{ $knows{$room} };
    my $source = source_of($object);

    my @bad = grep { defined $defined{$_} && !$may{$defined{$_}} }
              undefined($object);

    # bytes to facts and back: no events, connections or shared memory
    push @bad, grep { /^ngx_(?:add|del|event|posted|shm|slab|cycle
                               |connect|conf|http|stream|process|random)/x }
               undefined($object) if $room eq 'codec';

    is(join(' ', @bad), '', "$source uses only what its room may know");
}


sub source_of {
    my ($object) = @_;

    my $room = room_of($object);

    return ($room eq '' ? '' : "$room/") . basename($object, '.o') . '.c';
}


done_testing();
