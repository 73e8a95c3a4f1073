package Mesh::Variant;

# The modules with one source file compiled in another way: for what a test
# can only see with another constant.  Only that file is compiled and what it
# is part of is linked anew, so it takes seconds; nothing is done a second time
# unless util/build has built something since.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(LOCK_EX);
use File::Basename qw(dirname basename);
use File::Path qw(make_path);

our @EXPORT_OK = qw(variant);

my $root = abs_path(dirname(__FILE__) . '/../../..');


# variant(NAME, "src/codec/x.c", "-DFLAG=1"): builds into build/variant/NAME
# and lets the instances of Mesh::Test made from now on use it

sub variant {
    my ($name, $file, @flags) = @_;

    my $static = defined $ENV{TEST_NGINX_LOAD}
                 && $ENV{TEST_NGINX_LOAD} =~ /^\s*$/;

    my ($objs, $tree, @targets) = $static ? static() : dynamic();
    my $dir = "$root/build/variant/$name" . ($static ? "-$static" : '');

    make_path($dir);

    open my $lock, '>', "$dir/lock" or die "cannot write $dir/lock: $!";
    flock $lock, LOCK_EX;

    my @built = build($dir, $objs, $tree, "$root/$file", \@flags, @targets);

    if ($static) {
        $ENV{TEST_NGINX_BINARY} = $built[0];
        return;
    }

    my ($stream) = grep { -f } map { "$_/ngx_stream_module.so" }
                   qw(/usr/lib/nginx/modules /usr/share/nginx/modules);
    my %own = map { basename($_) => $_ } @built;

    $ENV{TEST_NGINX_LOAD} = join "\n", grep { defined } $stream,
        map { $own{$_} // "$root/build/$_" }
        map { "ngx_mesh${_}_module.so" } '', '_stream', '_http';
}


# the tree that make works in stands nowhere in its Makefile

sub dynamic {
    my $src = $ENV{NGINX_SRC} || '/usr/share/nginx/src';
    my $objs = "$root/build/obj/" . $src =~ s{/}{_}gr;
    my @modules = map { "$objs/ngx_mesh${_}_module.so" } '', '_stream', '_http';

    return ($objs, $src, @modules);
}


sub static {
    my $objs = dirname(abs_path($ENV{TEST_NGINX_BINARY})) . '/obj';
    my ($tree) = $ENV{NGINX_SRC} // glob "$root/build/nginx-src/nginx-*";

    return ($objs, $tree, 'binary');
}


# What make would do if the file had changed, done elsewhere.

sub build {
    my ($dir, $objs, $tree, $source, $flags, @targets) = @_;

    my $said = qx{make -n -s -f $objs/Makefile -C $tree -W $source @targets};
    die "make -n failed, run util/build\n" if $?;

    $said =~ s/\\\n//g;

    my $object = basename($source) =~ s/\.c$/.o/r;
    my @commands = grep { /\bo?\S*\Q$object\E\b/ } split /\n/, $said;
    my @others = grep { / -c / && !/\Q$source\E/ } split /\n/, $said;

    die "objects are older than their sources, run util/build\n" if @others;
    die "$source is in none of @targets\n" unless @commands > 1;

    my @built;

    for (@commands) {
        my ($from) = /\s-o\s+(\S+)/ or die "no output in: $_\n";
        my $to = "$dir/" . basename($from);

        s{\S+/\Q$object\E(?=\s|$)}{$dir/$object}g;
        s{(\s-o\s+)\S+}{$1$to};
        s{ -c }{ -c @$flags };

        push @built, $to if !/ -c /;
        next if -e $to && mtime($to) >= mtime($from)
                && mtime($to) >= mtime($source);

        system("cd $tree && $_") == 0 or die "failed: $_\n";
    }

    return @built;
}


sub mtime { (stat $_[0])[9] // 0 }


1;
